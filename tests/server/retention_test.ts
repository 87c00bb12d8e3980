import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Indexer } from "../../lib/store/sqlite/indexer.ts";
import { migrate } from "../../lib/store/sqlite/schema.ts";
import { Writer } from "../../lib/store/sqlite/writer.ts";
import { message, TestServer } from "../harness.ts";

const dayMs = 86_400_000;
const retentionDays = 30;
const env = { RETENTION_DAYS: `${retentionDays}` };

/** When something arrived that came so many days ago. */
function daysAgo(days: number): string {
  return new Date(Date.now() - days * dayMs).toISOString();
}

/** A folder with a database whose rows came in this order; gone at the end. */
class AgedFolder implements Disposable {
  readonly dir = Deno.makeTempDirSync();
  readonly path = `${this.dir}/app.db`;

  /** @param parts How many messages came how many days ago. */
  constructor(parts: readonly { count: number; days: number; name: string }[]) {
    const db = new DatabaseSync(this.path);
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    migrate(db);
    const writer = new Writer(db);
    const indexer = new Indexer(db);
    for (const { count, days, name } of parts) {
      const messages = Array.from({ length: count }, (_, n) => ({
        ...message({
          message_id: `${name} ${n}`,
          from: `+${name.length}${n % 50}`,
          ts: new Date(Date.UTC(2025, 0, 1) + n * 40_000).toISOString(),
          text: `${name} ${n} words`,
        }),
        type: "text",
        contact_name: null,
        payload: null,
      }));
      const events = [{
        event_id: name,
        kind: "calls",
        message_id: null,
        ts: "2025-01-15T10:00:00Z",
        payload: "{}",
      }];
      writer.insert([{ messages, events, receivedAt: daysAgo(days) }]);
      while (indexer.index(10_000).hasMore);
    }
    db.close();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** Waits until the database has so many messages of a name. */
async function untilLeft(server: TestServer, name: string, wanted: number) {
  for (;;) {
    const { total } = await server.get<{ total: number }>(
      `/messages?limit=1&q=${encodeURIComponent(`${name} `)}`,
    );
    if (total <= wanted) return;
  }
}

/** What a scan of the stored rows says of each filter is what the server says. */
async function checkAnswers(server: TestServer): Promise<void> {
  const rows = server.query<{ from: string; ts: string; text: string }>(
    `SELECT from_msisdn AS "from", ts, text FROM messages ORDER BY ts_ms, message_id`,
  );
  const stats = await server.get<Record<string, unknown>>("/stats");
  const counts = Array.from(
    Map.groupBy(rows, ({ from }) => from),
    ([from, { length }]) => ({ from, count: length }),
  ).sort((a, b) => b.count - a.count || (a.from < b.from ? -1 : 1));
  assert.deepEqual(stats, {
    total_messages: rows.length,
    senders_count: counts.length,
    messages_per_sender: counts.slice(0, 10),
    first_message_ts: rows[0]?.ts ?? null,
    last_message_ts: rows.at(-1)?.ts ?? null,
  });
  const since = "2025-01-01T12:00:00Z";
  const from = counts[0].from;
  const filters: [
    query: string,
    test: (row: typeof rows[number]) => boolean,
  ][] = [
    ["", () => true],
    ["q=words", ({ text }) => text.includes("words")],
    ["q=gone", ({ text }) => text.includes("gone")],
    ["q=g", ({ text }) => text.includes("g")],
    ["q=7", ({ text }) => text.includes("7")],
    [`from=${encodeURIComponent(from)}`, (row) => row.from === from],
    [`since=${since}`, ({ ts }) => Date.parse(ts) >= Date.parse(since)],
    [
      `since=${since}&from=${encodeURIComponent(from)}`,
      (row) => row.from === from && Date.parse(row.ts) >= Date.parse(since),
    ],
  ];
  for (const [query, test] of filters) {
    const page = await server.get<{ total: number; data: { text: string }[] }>(
      `/messages?limit=100&${query}`,
    );
    const matching = rows.filter(test).map(({ text }) => text);
    assert.equal(page.total, matching.length, query);
    assert.deepEqual(
      page.data.map(({ text }) => text),
      matching.slice(0, 100),
      query,
    );
  }
}

Deno.test("RETENTION_DAYS deletes what arrived before, whatever its ts, and every answer agrees", async () => {
  using folder = new AgedFolder([
    { count: 1500, days: retentionDays + 1, name: "gone" },
    { count: 300, days: retentionDays - 1, name: "kept" },
  ]);
  await using server = await TestServer.start({ dir: folder.dir, env });
  const old = message({ ts: "1999-01-01T00:00:00Z", text: "kept words" });
  assert.equal(await server.deliver(old), 200);
  await untilLeft(server, "gone", 0);
  assert.equal((await server.get("/messages")).total, 301);
  while ((await server.get("/events")).total !== 1);
  await checkAnswers(server);
  const { rows } = await server.logged("old rows deleted");
  assert.equal(rows, 1500 + 1, "messages and the event");
  // What is gone is new when it comes again.
  assert.equal(await server.deliver(message({ message_id: "gone 7" })), 200);
  assert.equal(
    await server.metric('webhook_requests_total{result="created"}'),
    2,
  );
});

Deno.test("without RETENTION_DAYS nothing is ever deleted", async () => {
  using folder = new AgedFolder([{ count: 10, days: 40_000, name: "kept" }]);
  await using server = await TestServer.start({ dir: folder.dir });
  assert.equal(await server.deliver(message()), 200);
  // After this it was idle once.
  const isIndexed = () =>
    server.query<{ messages: number }>("SELECT messages FROM totals")[0]
      .messages === 11;
  while (!isIndexed());
  assert.equal((await server.get("/messages")).total, 11);
});

Deno.test("RETENTION_DAYS deletes while deliveries never pause, and loses none of them", async () => {
  using folder = new AgedFolder([
    { count: 4000, days: retentionDays + 1, name: "gone" },
  ]);
  await using server = await TestServer.start({ dir: folder.dir, env });
  let isOver = false;
  const acknowledged: string[] = [];
  const clients = Array.from({ length: 16 }, async () => {
    while (!isOver) {
      const fields = message({ text: "kept words" });
      assert.equal(await server.deliver(fields), 200);
      acknowledged.push(fields.message_id);
    }
  });
  await untilLeft(server, "gone", 0);
  isOver = true;
  await Promise.all(clients);
  const stored = server.query<{ message_id: string }>(
    "SELECT message_id FROM messages",
  ).map(({ message_id }) => message_id);
  assert.deepEqual(new Set(stored), new Set(acknowledged));
  await checkAnswers(server);
});

Deno.test("kill -9 in the middle of a pass leaves every answer exact, and the pass goes on", async () => {
  using folder = new AgedFolder([
    { count: 6000, days: retentionDays + 1, name: "gone" },
    { count: 200, days: 1, name: "kept" },
  ]);
  const left: number[] = [];
  for (let round = 0; round < 4; round++) {
    const server = await TestServer.start({ dir: folder.dir, env });
    const before = left.at(-1) ?? 6000;
    await untilLeft(server, "gone", Math.max(0, before - 1));
    server.signal("SIGKILL");
    await server.ended();
    left.push(
      server.query("SELECT 1 FROM messages WHERE text LIKE 'gone%'").length,
    );
    // Without the variable nothing more is deleted while it is looked at.
    await using other = await TestServer.start({ dir: folder.dir });
    await checkAnswers(other);
  }
  assert(left[0] > 0 && left[0] < 6000, `${left[0]} are left`);
  await using server = await TestServer.start({ dir: folder.dir, env });
  await untilLeft(server, "gone", 0);
  await checkAnswers(server);
  const [check] = server.query("PRAGMA integrity_check");
  assert.equal(check.integrity_check, "ok");
});
