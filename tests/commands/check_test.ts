import assert from "node:assert/strict";
import { describeClock, describeDisk } from "../../lib/commands/check.ts";
import { message, run, secret, TestServer } from "../harness.ts";
import { TempStore } from "./temp_store.ts";

/** Runs the check: its exit code, and what each line says. */
async function check(env: Record<string, string>) {
  const { code, stdout, stderr } = await run({ args: ["check"], env });
  assert.equal(stderr, "");
  const lines = stdout.trimEnd().split("\n").map((line) => {
    const [, verdict, what, text] =
      line.match(/^(ok {2}|FAIL) {2}(\w+): (.+)$/) ?? assert.fail(line);
    return { isRight: verdict !== "FAIL", what, text };
  });
  return {
    code,
    lines,
    faults: lines.filter(({ isRight }) => !isRight)
      .map(({ what, text }) => `${what}: ${text}`),
    text: (name: string) => lines.find(({ what }) => what === name)?.text ?? "",
  };
}

const env = { WEBHOOK_SECRET: secret };

Deno.test("check finds nothing wrong with a server that runs", async () => {
  await using server = await TestServer.start();
  assert.equal(await server.deliver(message()), 200);
  const { code, lines, text } = await check({
    ...env,
    HOST: "127.0.0.1",
    PORT: `${server.port}`,
    DATABASE_URL: `sqlite:///${server.databasePath}`,
  });
  assert.deepEqual(
    lines.map(({ isRight, what }) => [isRight, what]),
    ["configuration", "database", "schema", "disk", "clock"]
      .map((what) => [true, what]),
  );
  assert.equal(code, 0);
  assert.equal(
    text("configuration"),
    `127.0.0.1 port ${server.port}, WEBHOOK_SECRET`,
  );
  assert(text("database").startsWith(server.databasePath));
  assert.match(text("schema"), /^version \d+$/);
  assert.match(text("disk"), /^[\d.]+ [MG]B free$/);
  assert.match(text("clock"), /^\d{4}-.*Z, the newest message came \d{4}-.*Z$/);
});

Deno.test("check finds variables that can't be used, all of them, and a missing secret", async () => {
  const wrong = await check({ ...env, PORT: "0", LOG_LEVEL: "LOUD" });
  assert.equal(wrong.code, 1);
  assert.equal(wrong.lines.length, 1);
  assert.match(
    wrong.text("configuration"),
    /^Cannot use LOG_LEVEL="LOUD" .*PORT="0"/,
  );
  const missing = await check({ DATABASE_URL: "sqlite:///:memory:" });
  assert.equal(missing.code, 1);
  assert.deepEqual(missing.faults, [
    "configuration: WEBHOOK_SECRET is not set",
  ]);
});

Deno.test("check takes a database that is not there yet or in memory for right", async () => {
  using store = new TempStore();
  const { code, text } = await check({ ...env, ...store.env });
  assert.equal(code, 0);
  assert.equal(
    text("database"),
    `${store.path} is not there yet, the server makes it`,
  );
  assert.deepEqual(Array.from(Deno.readDirSync(store.dir)), [], "made nothing");
  const inMemory = await check({ ...env, DATABASE_URL: "sqlite:///:memory:" });
  assert.equal(inMemory.code, 0);
  assert.equal(
    inMemory.text("database"),
    "in memory, gone when the server stops",
  );
});

Deno.test("check finds a database that can't be made, opened or trusted", async () => {
  using store = new TempStore();
  const finds = async (fault: RegExp, path = store.path) => {
    const { code, faults } = await check({
      ...env,
      DATABASE_URL: `sqlite:///${path}`,
    });
    assert.equal(code, 1);
    assert.match(faults[0], fault);
    return faults.length;
  };
  await finds(/^database: cannot write in \S+\/no: /, `${store.dir}/no/app.db`);
  assert.equal(
    await finds(/^database: \S+ is a folder$/, store.dir),
    1,
  );
  store.fill(1000);
  store.corrupt();
  assert.equal(await finds(/^database: \S+ is corrupt: ./), 1);
  await Deno.writeTextFile(store.path, "not a database ".repeat(100));
  assert.equal(await finds(/^database: file is not a database$/), 1);
});

Deno.test("check says which schema there is, and finds one that is too new", async () => {
  using store = new TempStore();
  store.insert([]);
  store.exec("PRAGMA user_version = 1");
  const older = await check({ ...env, ...store.env });
  assert.equal(older.code, 0);
  assert.match(
    older.text("schema"),
    /^version 1, the server upgrades it to \d/,
  );
  store.exec("PRAGMA user_version = 99");
  const newer = await check({ ...env, ...store.env });
  assert.equal(newer.code, 1);
  assert.match(
    newer.faults.join("\n"),
    /^schema: version 99, this program knows up to \d+$/,
  );
  await Deno.writeFile(store.path, new Uint8Array());
  const empty = await check({ ...env, ...store.env });
  assert.equal(empty.code, 0);
  assert.match(empty.text("schema"), /^version 0, the server upgrades it to/);
});

Deno.test("check finds a newest message from the future", async () => {
  using store = new TempStore();
  const now = new Date();
  const fields = {
    ...message({ ts: "9999-12-31T23:59:59Z" }),
    type: "text",
    contact_name: null,
    payload: null,
  };
  // What senders say of the time is their own affair.
  store.insert([fields]);
  assert.equal((await check({ ...env, ...store.env })).code, 0);
  const tomorrow = new Date(now.getTime() + 86_400_000).toISOString();
  store.insert([{ ...fields, message_id: "m" }], [], tomorrow);
  const { code, faults } = await check({ ...env, ...store.env });
  assert.equal(code, 1);
  assert.equal(faults.length, 1);
  assert(faults[0].endsWith(`, but the newest message came ${tomorrow}`));
});

Deno.test("describeClock() throws when the clock was never set, or put back by more than a minute", () => {
  const at = Date.parse;
  assert.throws(() => describeClock(0, null), /^Error: 1970-01-01T/);
  assert.throws(() => describeClock(at("2024-12-31T23:59:59Z"), null));
  describeClock(at("2025-01-01T00:00:00Z"), null);
  const now = at("2026-01-01T00:00:00Z");
  describeClock(now, "2026-01-01T00:01:00.000Z");
  assert.throws(() => describeClock(now, "2026-01-01T00:01:00.001Z"));
});

Deno.test("describeDisk() throws when less is free than has to be", () => {
  assert.equal(describeDisk(1 << 28, 1 << 28), "268.4 MB free");
  assert.equal(describeDisk(0, 0), "0.0 MB free");
  assert.throws(
    () => describeDisk((1 << 28) - 1, 1 << 28),
    /^Error: 268\.4 MB free, less than 268\.4 MB$/,
  );
});

Deno.test("check takes MIN_FREE_DISK_MIB for how much has to be free", async () => {
  using store = new TempStore();
  const withMin = (MIN_FREE_DISK_MIB: string) =>
    check({ ...env, ...store.env, MIN_FREE_DISK_MIB });
  const { code, faults } = await withMin("99999999");
  assert.equal(code, 1);
  assert.match(faults.join(), /^disk: \S+ [MG]B free, less than \S+ GB$/);
  assert.equal((await withMin("0")).code, 0);
});
