import assert from "node:assert/strict";
import denoConfig from "../deno.json" with { type: "json" };
import { secret, serverCommand, signatureOf } from "./harness.ts";

interface Run {
  args: string[];
  env?: Record<string, string>;
  stdin?: Uint8Array<ArrayBuffer>;
}

/** Runs the program to its end, with nothing in its environment but `env`. */
async function run({ args, env = {}, stdin = new Uint8Array() }: Run) {
  const [command, ...flags] = serverCommand();
  const { PATH = "", HOME = "", DENO_DIR = "" } = Deno.env.toObject();
  const process = new Deno.Command(command, {
    args: [...flags, ...args],
    clearEnv: true,
    env: { PATH, HOME, ...(DENO_DIR && { DENO_DIR }), ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = new Response(stdin).body!.pipeTo(process.stdin)
    // A program that ends without reading closes the pipe.
    .catch(() => {});
  const { code, stdout, stderr } = await process.output();
  await input;
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

Deno.test("main() prints the commands, options and variables when asked for help", async () => {
  for (const args of [["--help"], ["-h"], ["sign", "--help"]]) {
    const { code, stdout, stderr } = await run({ args, env: { PORT: "bad" } });
    assert.equal(code, 0);
    assert.equal(stderr, "");
    const words = "serve sign healthcheck --print-curl --help --version " +
      "WEBHOOK_SECRET WEBHOOK_SECRET_PREVIOUS WHATSAPP_APP_SECRET " +
      "WHATSAPP_APP_SECRET_PREVIOUS WHATSAPP_VERIFY_TOKEN " +
      "DATABASE_URL LOG_LEVEL HOST PORT";
    for (const word of words.split(" ")) {
      assert(stdout.includes(word), `${word} in the help`);
    }
  }
});

Deno.test("main() prints the version of deno.json when asked for it", async () => {
  for (const option of ["--version", "-V"]) {
    assert.deepEqual(
      await run({ args: [option] }),
      { code: 0, stdout: `${denoConfig.version}\n`, stderr: "" },
    );
  }
});

Deno.test("main() exits with 2 and points to the help when the arguments are wrong", async () => {
  const wrong: [args: string[], culprit: string][] = [
    [["frobnicate"], "frobnicate"],
    [["toString"], "toString"],
    [["--frobnicate"], "--frobnicate"],
    [["serve", "-x"], "-x"],
    [["serve", "now"], "now"],
    [["sign", "a.json", "b.json"], "b.json"],
    [["--help=yes"], "--help"],
  ];
  await Promise.all(wrong.map(async ([args, culprit]) => {
    const { code, stdout, stderr } = await run({ args });
    assert.equal(code, 2, args.join(" "));
    assert.equal(stdout, "");
    assert(stderr.includes(culprit), stderr);
    assert(stderr.endsWith("Try 'whatsapp-inbox --help'.\n"), stderr);
  }));
});

Deno.test("main() exits with 1 and one log line when variables are wrong, all named", async () => {
  const wrong = {
    DATABASE_URL: "mysql://app:hunter2@db/inbox",
    LOG_LEVEL: "LOUD",
    HOST: "no host",
    PORT: "99999",
  };
  for (const args of [[], ["serve"], ["healthcheck"]]) {
    const { code, stdout, stderr } = await run({
      args,
      env: { ...wrong, WEBHOOK_SECRET: secret },
    });
    assert.equal(code, 1);
    assert.equal(stderr, "");
    assert.match(stdout, /^[^\n]+\n$/);
    const { level, message, faults } = JSON.parse(stdout);
    assert.equal(level, "ERROR");
    assert.deepEqual(
      faults.map(({ variable }: { variable: string }) => variable).sort(),
      Object.keys(wrong).sort(),
    );
    for (const [variable, value] of Object.entries(wrong)) {
      const shown = value.replace("app:hunter2", "***");
      assert(message.includes(`${variable}="${shown}"`), message);
    }
    assert(!stdout.includes("hunter2"), "no password");
    assert(!stdout.includes(secret), "no secret");
  }
});

Deno.test("main() prints the X-Signature of the exact bytes when signing stdin or a file", async () => {
  const body = new Uint8Array([
    ...new TextEncoder().encode('{"é":1}\r\n'),
    0,
    255,
  ]);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeFile(file, body);
    const env = { WEBHOOK_SECRET: secret };
    const stdout = `${signatureOf(body)}\n`;
    const runs: Run[] = [
      { args: ["sign"], env, stdin: body },
      { args: ["sign", "-"], env, stdin: body },
      { args: ["sign", file], env },
    ];
    for (const each of runs) {
      assert.deepEqual(await run(each), { code: 0, stdout, stderr: "" });
    }
    assert.deepEqual(
      await run({ args: ["sign"], env }),
      { code: 0, stdout: `${signatureOf("")}\n`, stderr: "" },
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("main() exits with 1 when signing without a secret or a file that isn't there", async () => {
  const stdin = new TextEncoder().encode("{}");
  const withoutSecret = await run({ args: ["sign"], stdin });
  assert.deepEqual(withoutSecret, {
    code: 1,
    stdout: "",
    stderr: "Cannot sign: WEBHOOK_SECRET is not set\n",
  });
  const file = `${Deno.cwd()}/no-such-file.json`;
  const withoutFile = await run({
    args: ["sign", file],
    env: { WEBHOOK_SECRET: secret },
  });
  assert.equal(withoutFile.code, 1);
  assert.equal(withoutFile.stdout, "");
  assert(withoutFile.stderr.startsWith(`Cannot read ${file}: `));
});

Deno.test("main() exits with 1 when the health check finds nobody listening", async () => {
  // Nobody listens on a privileged port that no service has used for decades.
  const env = { HOST: "127.0.0.1", PORT: "1" };
  const { code, stdout, stderr } = await run({ args: ["healthcheck"], env });
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert(stderr.startsWith("No answer from http://127.0.0.1:1/health/ready: "));
});

Deno.test("main() exits as /health/ready says when the health check gets an answer", async () => {
  const answers: [status: number, body: unknown, code: number, said: string][] =
    [
      [200, { status: "ready" }, 0, "ready\n"],
      [503, { detail: "not ready: why" }, 1, "not ready: why\n"],
    ];
  for (const [status, body, expected, said] of answers) {
    const paths: string[] = [];
    await using server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen() {},
    }, ({ url }) => {
      paths.push(new URL(url).pathname);
      return Response.json(body, { status });
    });
    const env = { HOST: "127.0.0.1", PORT: `${server.addr.port}` };
    const { code, stdout } = await run({ args: ["healthcheck"], env });
    assert.equal(code, expected);
    assert.equal(stdout, said);
    assert.deepEqual(paths, ["/health/ready"]);
  }
});
