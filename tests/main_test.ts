import assert from "node:assert/strict";
import denoConfig from "../deno.json" with { type: "json" };
import { run, secret } from "./harness.ts";

/** The commands that `--help` lists. */
async function listedCommands(): Promise<string[]> {
  const { stdout } = await run({ args: ["--help"] });
  const [, list] = stdout.match(/^Commands:\n([^]*?)\n\n/m)!;
  return Array.from(list.matchAll(/^ {2}(\w+) /gm), ([, name]) => name);
}

Deno.test("main() prints the commands, options and variables when asked for help", async () => {
  for (const args of [["--help"], ["-h"], ["--help", "sign"]]) {
    const { code, stdout, stderr } = await run({ args, env: { PORT: "bad" } });
    assert.equal(code, 0);
    assert.equal(stderr, "");
    const words = "serve sign healthcheck --help --version " +
      "WEBHOOK_SECRET WEBHOOK_SECRET_PREVIOUS WHATSAPP_APP_SECRET " +
      "WHATSAPP_APP_SECRET_PREVIOUS WHATSAPP_VERIFY_TOKEN " +
      "..._FILE DATABASE_URL RETENTION_DAYS MIN_FREE_DISK_MIB LOG_LEVEL HOST PORT";
    for (const word of words.split(" ")) {
      assert(stdout.includes(word), `${word} in the help`);
    }
  }
});

Deno.test("main() prints a command's usage, options and exit codes when it is asked for its help", async () => {
  const names = await listedCommands();
  assert(names.includes("serve"));
  await Promise.all(names.map(async (name) => {
    const env = { PORT: "bad" };
    const { code, stdout, stderr } = await run({ args: [name, "-h"], env });
    assert.equal(code, 0);
    assert.equal(stderr, "");
    const usage = stdout.split("\n")[0].replace("[serve]", "serve");
    assert.match(usage, new RegExp(`^Usage: whatsapp-inbox ${name}\\b`));
    assert.match(stdout, /^Options:\n/m);
    assert.match(stdout, /^ {2}-h, --help /m);
    assert.match(stdout, /^Exit codes:\n {2}0 [^]+\n {2}2 /m);
    for (const line of stdout.split("\n")) assert(line.length <= 80, line);
  }));
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
    const hint = /\nTry 'whatsapp-inbox( serve| sign)? --help'\.\n$/;
    const [, command = ""] = stderr.match(hint) ?? assert.fail(stderr);
    assert.equal(
      command.trim(),
      ["serve", "sign"].find((name) => name === args[0]) ?? "",
    );
  }));
});

Deno.test("main() exits with 1 and one log line when variables are wrong, all named", async () => {
  const wrong = {
    DATABASE_URL: "mysql://app:hunter2@db/inbox",
    LOG_LEVEL: "LOUD",
    HOST: "no host",
    PORT: "99999",
    WHATSAPP_VERIFY_TOKEN_FILE: "/no/such/file",
  };
  for (const args of [[], ["serve"]]) {
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

Deno.test("main() exits with 1 and names all wrong variables on stderr when a command is no server", async () => {
  const { code, stdout, stderr } = await run({
    args: ["healthcheck"],
    env: { LOG_LEVEL: "LOUD", PORT: "99999" },
  });
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^Cannot use LOG_LEVEL="LOUD" .*, PORT="99999" .*\n$/);
});
