import assert from "node:assert/strict";
import { message, run, secret, signatureOf, TestServer } from "../harness.ts";

/** A server that keeps what it gets and answers as it is told. */
function fakeServer(answer: () => Response) {
  const requests: { url: string; headers: Headers; body: string }[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const { url, headers } = request;
      requests.push({ url, headers, body: await request.text() });
      return answer();
    },
  );
  return { server, requests, url: `http://127.0.0.1:${server.addr.port}` };
}

Deno.test("send delivers a new sample each time, and shows it and the answer", async () => {
  await using server = await TestServer.start();
  const env = {
    HOST: "127.0.0.1",
    PORT: `${server.port}`,
    WEBHOOK_SECRET: secret,
  };
  for (const total of [1, 2]) {
    const { code, stdout, stderr } = await run({ args: ["send"], env });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "");
    const [line, header, body, empty, ...answer] = stdout.split("\n");
    assert.equal(line, `POST http://127.0.0.1:${server.port}/webhook`);
    assert.equal(header, `X-Signature: ${signatureOf(body)}`);
    assert.deepEqual([empty, ...answer], ["", "200 OK", '{"status":"ok"}', ""]);
    const list = await server.get<{ total: number; data: unknown[] }>(
      "/messages",
    );
    assert.equal(list.total, total);
    assert(
      list.data.some((stored) => JSON.stringify(stored) === body),
      "what was shown is what was stored",
    );
  }
});

Deno.test("send delivers the exact bytes of FILE or stdin to --url", async () => {
  const body = new TextEncoder().encode('{ "é": 1 }\r\n');
  const file = await Deno.makeTempFile();
  await Deno.writeFile(file, body);
  const fake = fakeServer(() => new Response("fine"));
  await using _server = fake.server;
  const env = { WEBHOOK_SECRET: secret };
  for (const [operand, path] of [[file, ""], ["-", "/inbox/"]]) {
    const { code, stdout } = await run({
      args: ["send", "--url", fake.url + path, operand],
      env,
      stdin: body,
    });
    assert.equal(code, 0);
    assert(stdout.endsWith("\n\n200 OK\nfine\n"), stdout);
  }
  assert.deepEqual(
    fake.requests.map(({ url }) => new URL(url).pathname),
    ["/webhook", "/inbox/webhook"],
  );
  for (const { headers, body: received } of fake.requests) {
    assert.equal(received, new TextDecoder().decode(body));
    assert.equal(headers.get("x-signature"), signatureOf(body));
    assert.equal(headers.get("content-type"), "application/json");
  }
  await Deno.remove(file);
});

Deno.test("send exits with 1 and shows the answer when that is not 200", async () => {
  await using server = await TestServer.start();
  const args = ["send", "--url", `http://127.0.0.1:${server.port}`, "-"];
  const stdin = new TextEncoder().encode(
    JSON.stringify(message({ from: "me", to: "you" })),
  );
  const invalid = await run({ args, stdin, env: { WEBHOOK_SECRET: secret } });
  assert.equal(invalid.code, 1);
  assert.match(invalid.stdout, /\n422 Unprocessable Entity\n\{\n {2}"detail"/);
  assert.match(invalid.stdout, /\n {8}"from"\n/);
  const refused = await run({ args, stdin, env: { WEBHOOK_SECRET: "other" } });
  assert.equal(refused.code, 1);
  assert.match(
    refused.stdout,
    /\n401 Unauthorized\n\{"detail":"invalid signature"\}\n$/,
  );
  assert.equal(
    refused.stderr,
    "Does the server have another WEBHOOK_SECRET?\n",
  );
});

Deno.test("send shows a redirection instead of following it without the body", async () => {
  const fake = fakeServer(() =>
    new Response(null, { status: 302, headers: { location: "/elsewhere" } })
  );
  await using _server = fake.server;
  const { code, stdout } = await run({
    args: ["send", "--url", fake.url],
    env: { WEBHOOK_SECRET: secret },
  });
  assert.equal(code, 1);
  assert.match(stdout, /\n\n302 Found\n$/);
  assert.equal(fake.requests.length, 1);
});

Deno.test("send shows no more than the start of what is long", async () => {
  const fake = fakeServer(() => new Response("y".repeat(100_000)));
  await using _server = fake.server;
  const { code, stdout } = await run({
    args: ["send", "--url", fake.url, "-"],
    env: { WEBHOOK_SECRET: secret },
    stdin: new TextEncoder().encode("x".repeat(100_000)),
  });
  assert.equal(code, 0);
  assert.match(stdout, /x\.\.\. \(100000 characters\)\n/);
  assert.match(stdout, /y\.\.\. \(100000 characters\)\n/);
  assert(stdout.length < 5000);
  assert.equal(fake.requests[0].body.length, 100_000);
});

Deno.test("send exits with 1 when nobody answers, there is no secret or no such file", async () => {
  const env = { HOST: "127.0.0.1", PORT: "1", WEBHOOK_SECRET: secret };
  const alone = await run({ args: ["send"], env });
  assert.equal(alone.code, 1);
  assert.match(
    alone.stderr,
    /^No answer from http:\/\/127\.0\.0\.1:1\/webhook: .+\n$/,
  );
  assert.deepEqual(
    await run({ args: ["send"], env: { ...env, WEBHOOK_SECRET: "" } }),
    {
      code: 1,
      stdout: "",
      stderr: "Cannot send: WEBHOOK_SECRET is not set\n",
    },
  );
  const missing = await run({ args: ["send", "/no/such/file"], env });
  assert.equal(missing.code, 1);
  assert.match(
    missing.stderr,
    /^Cannot send: cannot read \/no\/such\/file: .+\n$/,
  );
});

Deno.test("send exits with 2 when --url is no HTTP URL", async () => {
  const env = { WEBHOOK_SECRET: secret };
  for (const url of ["localhost", "127.0.0.1:8000", "ftp://x", ""]) {
    const { code, stderr } = await run({ args: ["send", "--url", url], env });
    assert.equal(code, 2, url);
    assert.equal(
      stderr,
      `Cannot use --url '${url}': no HTTP URL\nTry 'whatsapp-inbox send --help'.\n`,
    );
  }
});
