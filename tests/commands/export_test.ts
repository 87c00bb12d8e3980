import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { run, serverCommand, spawn, spawnAtTerminal } from "../harness.ts";
import { peakRssBytes, TempStore } from "./temp_store.ts";

const message = {
  message_id: "wamid.é\u2028",
  from: "+919876543210",
  to: "",
  ts: "2025-01-15T10:00:00.5Z",
  text: 'Hello\n"you"',
  type: "image",
  contact_name: "Zoë",
  payload: '{ "n": 12345678901234567890,\n "s": "\\u00e9" }',
};

const event = {
  event_id: "0123456789abcdef".repeat(4),
  kind: "status",
  message_id: "wamid.é\u2028",
  ts: "2025-01-14T10:00:00Z",
  payload: '{"status":"read"}',
};

const received_at = "2025-01-15T10:00:01.234Z";

Deno.test("export writes every message, then every event, as a line of JSON", async () => {
  using store = new TempStore();
  store.insert([message], [event], received_at);
  const { code, stdout, stderr } = await run({
    args: ["export"],
    env: store.env,
  });
  assert.equal(stderr, "");
  assert.equal(code, 0);
  const lines = stdout.split("\n");
  assert.equal(lines.pop(), "");
  assert.deepEqual(lines.map((line) => JSON.parse(line)), [
    { ...message, received_at },
    { ...event, received_at },
  ]);
});

Deno.test("export --since writes what happened then or later", async () => {
  using store = new TempStore();
  store.insert([message], [event]);
  const counts: [since: string, lines: number][] = [
    ["2025-01-14T10:00:00Z", 2],
    ["2025-01-14T15:30:01+05:30", 1],
    ["2025-01-15T10:00:00.501Z", 0],
  ];
  for (const [since, lines] of counts) {
    const { code, stdout } = await run({
      args: ["export", `--since=${since}`],
      env: store.env,
    });
    assert.equal(code, 0);
    assert.equal(stdout.split("\n").length - 1, lines, since);
  }
  const wrong = await run({
    args: ["export", "--since", "yesterday"],
    env: store.env,
  });
  assert.deepEqual(wrong, {
    code: 2,
    stdout: "",
    stderr: "Cannot use --since 'yesterday': no ISO-8601 instant\n" +
      "Try 'whatsapp-inbox export --help'.\n",
  });
});

Deno.test("export takes no more memory for many messages, and shows nothing where there is no terminal", async () => {
  using store = new TempStore();
  store.fill(200_000);
  const process = spawn({ args: ["export"], env: store.env });
  const stderr = new Response(process.stderr).text();
  let size = 0;
  let lines = 0;
  let chunks = 0;
  let halfPeak = 0;
  let peak = 0;
  for await (const chunk of process.stdout) {
    size += chunk.length;
    for (const byte of chunk) if (byte === 0x0a) lines++;
    // It is the most so far: now and then is enough.
    if (chunks++ % 64 !== 0) continue;
    peak = peakRssBytes(process) || peak;
    if (size < 100e6) halfPeak = peak;
  }
  assert.equal((await process.status).code, 0);
  assert.equal(lines, 200_000);
  assert(size > 190 << 20);
  // All of the second half would be 90 MB and more.
  assert(halfPeak > 0 && peak - halfPeak < 80e6, `${halfPeak}, then ${peak}`);
  assert.equal(await stderr, "");
});

Deno.test("export ends quietly when its reader wants no more", async () => {
  using store = new TempStore();
  store.fill(20_000);
  const process = spawn({ args: ["export"], env: store.env });
  const reader = process.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal((await process.status).code, 0);
  assert.equal(await new Response(process.stderr).text(), "");
});

Deno.test("export shows at a terminal how far it is, unless its lines show there", async () => {
  using store = new TempStore();
  store.fill(3000);
  const pipe = `${store.dir}/pipe`;
  await new Deno.Command("mkfifo", { args: [pipe] }).output();
  const options = { args: ["export"], env: store.env };
  const process = spawnAtTerminal(options, `>'${pipe}'`);
  {
    using lines = await Deno.open(pipe);
    const chunk = new Uint8Array(1 << 16);
    await lines.read(chunk);
    // It waits for its reader while the second goes by that shows nothing.
    await delay(1100);
    while (await lines.read(chunk) !== null);
  }
  const shown = await new Response(process.stdout).text();
  assert.match(
    shown.replaceAll("\r\x1b[K", "<"),
    /^(<\d+ messages, 0 events)+<$/,
  );
  const alone = spawnAtTerminal(options);
  const chunks = alone.stdout[Symbol.asyncIterator]();
  let text = "";
  const read = async () => {
    const { value, done } = await chunks.next();
    text += new TextDecoder().decode(value);
    return !done;
  };
  await read();
  await delay(1100);
  while (await read());
  assert.equal(text.split("\n").length, 3001);
  assert(!text.includes("\x1b"), "lines and nothing else");
});

Deno.test("export exits with 1 and one line when the database can't be read", async () => {
  using store = new TempStore();
  const cannot = async (problem: RegExp, path = store.path) => {
    const env = { DATABASE_URL: `sqlite:///${path}` };
    const { code, stdout, stderr } = await run({ args: ["export"], env });
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^Cannot export: [^\n]+\n$/);
    assert.match(stderr, problem);
  };
  await cannot(/unable to open database file/);
  assert.deepEqual(Array.from(Deno.readDirSync(store.dir)), [], "made nothing");
  await cannot(/is a folder/, store.dir);
  await cannot(/in the server's memory/, ":memory:");
  store.insert([]);
  store.exec("PRAGMA user_version = 2");
  await cannot(/schema version 2, .* start the server once/);
  store.exec("PRAGMA user_version = 99");
  await cannot(/schema version 99, this program \d+\n$/);
  Deno.writeTextFileSync(store.path, "not a database ".repeat(100));
  await cannot(/not a database/);
});

Deno.test("export exits with 1 when stdout can't be written", async () => {
  using store = new TempStore();
  store.fill(1);
  const { code, stderr } = await new Deno.Command("sh", {
    args: ["-c", '"$@" >/dev/full', "sh", ...serverCommand(), "export"],
    env: store.env,
  }).output();
  assert.equal(code, 1);
  assert.match(
    new TextDecoder().decode(stderr),
    /^Cannot export: No space left on device[^\n]*\n$/,
  );
});
