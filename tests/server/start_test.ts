import assert from "node:assert/strict";
import {
  freePort,
  message,
  secret,
  signatureOf,
  TestServer,
  whatsappSecret,
} from "../harness.ts";

async function notReady(server: TestServer): Promise<string> {
  const response = await server.fetch("/health/ready");
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "1");
  const { detail } = await response.json();
  assert(!detail.includes(server.dir), "no path leaves the server");
  return detail;
}

async function isLive(server: TestServer): Promise<void> {
  assert.deepEqual(await server.get("/health/live"), { status: "live" });
}

for (const WEBHOOK_SECRET of [undefined, ""]) {
  Deno.test(`a WEBHOOK_SECRET that is ${WEBHOOK_SECRET ?? "missing"} leaves the server live, not ready`, async () => {
    await using server = await TestServer.start({ env: { WEBHOOK_SECRET } });
    await isLive(server);
    assert.equal(
      await notReady(server),
      "not ready: WEBHOOK_SECRET is not set",
    );
    const body = JSON.stringify(message());
    const signatures = [signatureOf(body, ""), signatureOf(body)];
    for (const signature of signatures) {
      const response = await server.post(body, { "x-signature": signature });
      assert.equal(response.status, 503);
      assert.notEqual(response.headers.get("retry-after"), null);
      assert.equal(typeof (await response.json()).detail, "string");
    }
    assert.equal((await server.get("/messages")).total, 0);
  });
}

Deno.test("secrets in files verify as those in variables do", async () => {
  const dir = await Deno.makeTempDir();
  for (const [name, value] of [["secret", secret], ["app", whatsappSecret]]) {
    await Deno.writeTextFile(`${dir}/${name}`, `${value}\n`);
  }
  {
    await using server = await TestServer.start({
      dir,
      env: {
        WEBHOOK_SECRET: undefined,
        WEBHOOK_SECRET_FILE: `${dir}/secret`,
        WHATSAPP_APP_SECRET: undefined,
        WHATSAPP_APP_SECRET_FILE: `${dir}/app`,
      },
    });
    assert.deepEqual(await server.get("/health/ready"), { status: "ready" });
    assert.equal(await server.deliver(message()), 200);
    const response = await server.postWhatsapp("{}");
    assert.equal(response.status, 200);
    await response.body?.cancel();
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a database that can't be opened at first is opened later", async () => {
  const parent = await Deno.makeTempDir();
  const dir = `${parent}/later`;
  {
    await using server = await TestServer.start({
      dir,
      until: ["listening", "the database can't be opened"],
    });
    await isLive(server);
    assert.equal(
      await notReady(server),
      "not ready: the database can't be opened",
    );
    assert.equal(await server.deliver(message()), 503);
    for (const path of ["/messages", "/stats"]) {
      const response = await server.fetch(path);
      assert.equal(response.status, 503);
      assert.deepEqual(await response.json(), {
        detail: "the database can't be opened",
      });
    }
    await Deno.mkdir(dir);
    await server.logged("database open");
    assert.deepEqual(await server.get("/health/ready"), { status: "ready" });
    assert.equal(await server.deliver(message()), 200);
    assert.equal((await server.get("/messages")).total, 1);
  }
  await Deno.remove(parent, { recursive: true });
});

Deno.test("sqlite:///:memory: is a database for as long as the server lives", async () => {
  await using server = await TestServer.start({
    env: { DATABASE_URL: "sqlite:///:memory:" },
  });
  assert.equal(await server.deliver(message({ message_id: "m" })), 200);
  assert.equal(await server.deliver(message({ message_id: "m" })), 200);
  assert.equal((await server.get("/messages?q=hello")).total, 1);
  assert.equal((await server.get("/stats")).total_messages, 1);
  assert.deepEqual(await server.get("/health/ready"), { status: "ready" });
});

Deno.test("a port in use ends the start with one clear line", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using server = await TestServer.start({
    env: { PORT: `${taken.addr.port}` },
    until: [],
  });
  assert.equal((await server.ended()).code, 1);
  const line = server.log.find(({ level }) => level === "ERROR")!;
  assert.match(line.message as string, /^Cannot listen on HOST="127\.0\.0\.1"/);
});

Deno.test("every wrong variable is named at once", async () => {
  await using server = await TestServer.start({
    env: {
      PORT: `${freePort() + 65536}`,
      HOST: "no host!",
      LOG_LEVEL: "LOUD",
      DATABASE_URL: "postgres://user:hunter2@db/app",
    },
    until: [],
  });
  assert.equal((await server.ended()).code, 1);
  assert.equal(server.log.length, 1);
  const line = server.log[0];
  for (const name of ["PORT", "HOST", "LOG_LEVEL", "DATABASE_URL"]) {
    assert.match(line.message as string, new RegExp(`${name}="`));
  }
  assert(!JSON.stringify(line).includes("hunter2"));
});

Deno.test("--print-curl prints a command that delivers when it is pasted", async () => {
  await using server = await TestServer.start({
    args: ["serve", "--print-curl"],
    stderr: /^Deliver a first message:\ncurl -i http:\/\/127\.0\.0\.1:/,
  });
  server.signal("SIGTERM");
  const { stderr } = await server.ended();
  const command = stderr.split("\n")[1];
  // A shell takes the command apart; a function in curl's place prints it.
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", `curl() { printf '%s\\0' "$@"; }; ${command}`],
  }).output();
  const args = new TextDecoder().decode(stdout).split("\0");
  assert.equal(args[1], `http://127.0.0.1:${server.port}/webhook`);
  const body = args[args.indexOf("-d") + 1];
  assert(args.includes(`X-Signature: ${signatureOf(body)}`));
  await using again = await TestServer.start();
  assert.equal((await again.post(body)).status, 200);
});

Deno.test("--print-curl without a secret says so and serves", async () => {
  await using server = await TestServer.start({
    args: ["serve", "--print-curl"],
    env: { WEBHOOK_SECRET: undefined },
    stderr: /^No curl command: WEBHOOK_SECRET is not set\n$/,
  });
  await isLive(server);
});
