import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import {
  message as simpleMessage,
  run,
  serverCommand,
  spawn,
  spawnAtTerminal,
  TestServer,
} from "../harness.ts";
import { hasOpen, peakRssBytes, TempStore } from "./temp_store.ts";

function jsonLines(values: readonly unknown[]): Uint8Array<ArrayBuffer> {
  const lines = values.map((value) => `${JSON.stringify(value)}\n`);
  return new TextEncoder().encode(lines.join(""));
}

function counts(messages: [number, number], events: [number, number]): string {
  return `messages: ${messages[0]} new, ${messages[1]} there already\n` +
    `events: ${events[0]} new, ${events[1]} there already\n`;
}

Deno.test("import makes the same rows of what export wrote", async () => {
  using source = new TempStore();
  source.fill(2500);
  source.insert(
    [
      {
        message_id: "wamid.é\u2028",
        from: "IN.12",
        to: "",
        ts: "2025-01-15T10:00:00.5Z",
        text: 'ÉCOLE Σς\n"you"',
        type: "image",
        contact_name: "Zoë",
        payload: '{ "n": 12345678901234567890,\n "s": "\\u00e9\\ud83d" }',
      },
      {
        message_id: "m",
        from: "+1",
        to: "+2",
        ts: "0000-01-01T00:00:00Z",
        text: null,
        type: "text",
        contact_name: null,
        payload: null,
      },
    ],
    [
      {
        event_id: "0".repeat(64),
        kind: "status",
        message_id: "m",
        ts: "2025-01-14T10:00:00Z",
        payload: '{"status":"read"}',
      },
      {
        event_id: "1".repeat(64),
        kind: "calls",
        message_id: null,
        ts: "9999-12-31T23:59:59Z",
        payload: "null",
      },
    ],
    "2025-01-15T10:00:01.234Z",
  );
  const exported = await run({ args: ["export"], env: source.env });
  using target = new TempStore();
  const file = `${target.dir}/export.jsonl`;
  await Deno.writeTextFile(file, exported.stdout);
  assert.deepEqual(await run({ args: ["import", file], env: target.env }), {
    code: 0,
    stdout: counts([2502, 0], [2, 0]),
    stderr: "",
  });
  for (const table of ["messages", "events"] as const) {
    assert.deepEqual(target.rows(table), source.rows(table));
  }
  assert.deepEqual(await run({ args: ["import", file], env: target.env }), {
    code: 0,
    stdout: counts([0, 2502], [0, 2]),
    stderr: "",
  });
  assert.deepEqual(target.rows("messages"), source.rows("messages"));
  const again = await run({ args: ["export"], env: target.env });
  assert.equal(again.stdout, exported.stdout);
});

Deno.test("import takes messages in the simple format, from stdin, whatever ends the lines", async () => {
  using store = new TempStore();
  const [first, second] = [simpleMessage({ other: 1 }), simpleMessage()];
  const text = `${JSON.stringify(first)}\r\n\r\n\n${JSON.stringify(second)}`;
  const startMs = Date.now();
  assert.deepEqual(
    await run({
      args: ["import", "-"],
      env: store.env,
      stdin: new TextEncoder().encode(`${text}\n${JSON.stringify(first)}`),
    }),
    { code: 0, stdout: counts([2, 1], [0, 0]), stderr: "" },
  );
  const rows = store.rows("messages");
  assert.deepEqual(
    rows.map(({ message_id }) => message_id),
    [first.message_id, second.message_id],
  );
  for (const { type, payload, created_at } of rows) {
    assert.deepEqual([type, payload], ["text", null]);
    assert(Date.parse(created_at as string) >= startMs);
  }
});

Deno.test("import leaves what is there already as it is", async () => {
  using store = new TempStore();
  const message = simpleMessage();
  const args = ["import", "-"];
  await run({ args, env: store.env, stdin: jsonLines([message]) });
  const before = store.rows("messages");
  const other = { ...message, text: "changed" };
  const { stdout } = await run({
    args,
    env: store.env,
    stdin: jsonLines([other]),
  });
  assert.equal(stdout, counts([0, 1], [0, 0]));
  assert.deepEqual(store.rows("messages"), before);
});

Deno.test("import stores the valid lines and says what is wrong with the first ten others", async () => {
  using store = new TempStore();
  const valid = simpleMessage();
  const { from: _, ...withoutFrom } = simpleMessage();
  const lines = [
    "{",
    JSON.stringify({ ...withoutFrom, ts: "now" }),
    JSON.stringify(valid),
    `"\xff"`,
    JSON.stringify({ event_id: "x" }),
    "x".repeat((16 << 20) + 1),
    ...Array.from({ length: 7 }, () => "[]"),
    JSON.stringify(simpleMessage()),
  ];
  const stdin = new TextEncoder().encode(lines.join("\n"));
  const broken = stdin.indexOf(0xc3);
  stdin.set([0xff, 0xff], broken);
  const { code, stdout, stderr } = await run({
    args: ["import", "-"],
    env: store.env,
    stdin,
  });
  assert.equal(code, 1);
  assert.equal(stdout, counts([2, 0], [0, 0]));
  const reported = stderr.split("\n");
  assert.deepEqual(
    reported.slice(0, 6),
    [
      "line 1: Line should be valid JSON",
      "line 2: from: Field required; ts: String should be an existing instant in UTC: YYYY-MM-DDTHH:MM:SS, an optional fraction, then Z",
      "line 4: Line should be valid UTF-8",
      "line 5: event_id: String should be 64 hex digits in lower case; " +
      "kind: Field required; message_id: Field required; ts: Field required; " +
      "payload: Field required; received_at: Field required",
      "line 6: longer than 16777216 bytes",
      "line 7: Input should be a JSON object",
    ],
  );
  assert.deepEqual(reported.slice(9), [
    "line 11: Input should be a JSON object",
    "invalid lines: 12, nothing of them is stored",
    "",
  ]);
  assert.equal(store.rows("messages").length, 2);
});

Deno.test("import takes no more memory for many messages", async () => {
  using source = new TempStore();
  source.fill(40_000, 5000);
  const exporting = spawn({ args: ["export"], env: source.env });
  using store = new TempStore();
  const process = spawn({ args: ["import", "-"], env: store.env });
  const stdin = process.stdin.getWriter();
  let chunks = 0;
  let bytes = 0;
  let halfPeak = 0;
  let peak = 0;
  for await (const chunk of exporting.stdout) {
    await stdin.write(chunk);
    bytes += chunk.length;
    // It is the most so far: now and then is enough.
    if (chunks++ % 64 !== 0) continue;
    peak = peakRssBytes(process) || peak;
    if (bytes < 110e6) halfPeak = peak;
  }
  await stdin.close();
  const { code, stdout, stderr } = await process.output();
  assert.equal(code, 0);
  assert.equal(
    new TextDecoder().decode(stdout),
    counts([40_000, 0], [0, 0]),
  );
  assert.equal(stderr.length, 0);
  assert(bytes > 200e6);
  // All of the second half would be 100 MB and more.
  assert(halfPeak > 0 && peak - halfPeak < 80e6, `${halfPeak}, then ${peak}`);
  assert.equal((await exporting.output()).code, 0);
});

Deno.test("import lets a server take deliveries meanwhile", async () => {
  await using server = await TestServer.start();
  const env = { DATABASE_URL: `sqlite:///${server.databasePath}` };
  const lines = Array.from({ length: 50_000 }, () => simpleMessage());
  const importing = run({
    args: ["import", "-"],
    env,
    stdin: jsonLines(lines),
  });
  let isOver = false;
  importing.finally(() => isOver = true);
  let delivered = 0;
  let slowestMs = 0;
  while (!isOver) {
    const startMs = performance.now();
    assert.equal(await server.deliver(simpleMessage()), 200);
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    delivered++;
  }
  const { code, stdout, stderr } = await importing;
  assert.equal(stderr, "");
  assert.equal(code, 0);
  assert.equal(stdout, counts([50_000, 0], [0, 0]));
  // Without pauses, less than four get between two of fifty transactions.
  assert(delivered > 250, `${delivered} deliveries`);
  assert(slowestMs < 2000, `${slowestMs} ms`);
  const { total } = await server.get<{ total: number }>("/messages?limit=1");
  assert.equal(total, 50_000 + delivered);
});

Deno.test("import waits for a lock", async () => {
  using store = new TempStore();
  store.insert([]);
  const other = new DatabaseSync(store.path);
  other.exec("BEGIN IMMEDIATE");
  const process = spawn({ args: ["import", "-"], env: store.env });
  const stdin = process.stdin.getWriter();
  await stdin.write(jsonLines([simpleMessage()]));
  await stdin.close();
  while (!hasOpen(process, store.path)) await delay(1);
  // What doesn't wait has failed by then.
  await delay(300);
  other.exec("ROLLBACK");
  other.close();
  const { code, stderr } = await process.output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.equal(code, 0);
  assert.equal(store.rows("messages").length, 1);
});

Deno.test("import says what it had stored when the disk is full, and goes on when it is repeated", async () => {
  using store = new TempStore();
  const lines = Array.from(
    { length: 5000 },
    () => simpleMessage({ text: "x".repeat(2000) }),
  );
  const file = `${store.dir}/lines`;
  await Deno.writeFile(file, jsonLines(lines));
  // The limit of a file's size stands for that of the disk.
  const limited = await new Deno.Command("sh", {
    args: [
      "-c",
      'trap "" XFSZ; ulimit -f 20000; exec "$@"',
      "sh",
      ...serverCommand(),
      "import",
      file,
    ],
    env: store.env,
  }).output();
  assert.equal(limited.code, 1);
  assert.match(
    new TextDecoder().decode(limited.stderr),
    /^Cannot import: (database or disk is full|disk I\/O error)\n$/,
  );
  const stored = store.rows("messages").length;
  assert(stored > 0 && stored < 5000, `${stored}`);
  assert.equal(
    new TextDecoder().decode(limited.stdout),
    counts([stored, 0], [0, 0]),
  );
  const { code, stdout } = await run({
    args: ["import", file],
    env: store.env,
  });
  assert.equal(code, 0);
  assert.equal(stdout, counts([5000 - stored, stored], [0, 0]));
});

Deno.test("import shows at a terminal how far it is", async () => {
  using store = new TempStore();
  const pipe = `${store.dir}/pipe`;
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  const process = spawnAtTerminal({ args: ["import", pipe], env: store.env });
  let shown = "";
  const reading = (async () => {
    for await (const chunk of process.stdout) {
      shown += new TextDecoder().decode(chunk);
    }
  })();
  {
    using file = await Deno.open(pipe, { write: true });
    // Lines come until progress is shown.
    while (!shown.includes("line ")) {
      await file.write(jsonLines([simpleMessage()]));
    }
    await file.write(new TextEncoder().encode("{\n"));
  }
  await reading;
  const lines = shown.replaceAll("\r\x1b[K", "<").split("\r\n");
  assert.match(lines[0], /^(<line \d+)+<line \d+: Line should be valid JSON$/);
  assert.match(lines[1], /^<?messages: \d+ new, 0 there already$/);
  assert.equal((await process.status).code, 1);
});

Deno.test("import exits with 1 and one line when it can't read or write", async () => {
  using store = new TempStore();
  const file = `${store.dir}/lines`;
  await Deno.writeFile(file, jsonLines([simpleMessage()]));
  const cannot = async (problem: RegExp, path = store.path, operand = file) => {
    const env = { DATABASE_URL: `sqlite:///${path}` };
    const { code, stdout, stderr } = await run({
      args: ["import", operand],
      env,
    });
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^Cannot import: [^\n]+\n$/);
    assert.match(stderr, problem);
  };
  await cannot(/cannot read .*missing/, store.path, `${file}.missing`);
  await cannot(/unable to open database file/, `${store.dir}/no/app.db`);
  await cannot(/in the server's memory/, ":memory:");
  store.insert([]);
  store.exec("PRAGMA user_version = 99");
  await cannot(/schema version 99/);
  const junk = "not a database ".repeat(100);
  Deno.writeTextFileSync(store.path, junk);
  await cannot(/not a database/);
  assert.equal(Deno.readTextFileSync(store.path), junk);
  const missing = await run({ args: ["import"], env: store.env });
  assert.deepEqual(missing, {
    code: 2,
    stdout: "",
    stderr: "Missing argument FILE\nTry 'whatsapp-inbox import --help'.\n",
  });
});
