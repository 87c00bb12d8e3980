import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import type { DeliveredEvent, DeliveredMessage } from "../../../lib/message.ts";
import { Indexer } from "../../../lib/store/sqlite/indexer.ts";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import { Retention } from "../../../lib/store/sqlite/retention.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import { TempDatabase } from "./temp_database.ts";
import { event, message } from "./test_store.ts";
import { version1 } from "./version1.ts";

const maxStepRows = 4;
const oldestMs = Date.parse("2025-03-01T00:00:00Z");
const nowMs = Date.parse("2025-04-01T00:00:00Z");
const arrivals = {
  old: "2025-02-28T23:59:59.999Z",
  recent: "2025-03-01T00:00:00.000Z",
  future: "2099-01-01T00:00:00.000Z",
};

/** A database with rows that arrived then, each known by its number. */
class AgedDatabase implements Disposable {
  readonly #temp = new TempDatabase();
  readonly db: DatabaseSync;
  readonly writer: Writer;
  readonly indexer: Indexer;
  readonly retention: Retention;

  constructor(schema = "") {
    this.db = this.#temp.open();
    this.db.exec("PRAGMA journal_mode = WAL");
    this.db.exec(schema);
    migrate(this.db);
    this.writer = new Writer(this.db);
    this.indexer = new Indexer(this.db);
    this.retention = new Retention(this.db, maxStepRows);
  }

  add(
    receivedAt: string,
    messages: readonly DeliveredMessage[],
    events: readonly DeliveredEvent[] = [],
  ): void {
    this.writer.insert([{ messages, events, receivedAt }]);
  }

  /** Adds messages, indexed, that arrived one after the other. */
  arrive(order: readonly (keyof typeof arrivals)[]): void {
    for (const name of order) this.add(arrivals[name], [message()]);
    while (this.indexer.index(100).hasMore);
  }

  /** Goes through a pass: what it left after each step. */
  pass(): string[] {
    const left: string[] = [];
    let goesOn = true;
    while (goesOn) {
      ({ goesOn } = this.retention.step(oldestMs, nowMs));
      left.push(this.numbers("messages").join());
    }
    return left;
  }

  numbers(table: "messages" | "events"): number[] {
    return this.db.prepare(`SELECT seq FROM ${table} ORDER BY seq`).all()
      .map(({ seq }) => seq as number);
  }

  size(query: string): number {
    return Number(Object.values(this.db.prepare(query).get()!)[0]);
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}

Deno.test("Retention.step() deletes what arrived before the instant, whatever its own ts says", () => {
  using database = new AgedDatabase();
  database.add(arrivals.old, [message({ ts: "2099-01-01T00:00:00Z" })]);
  database.add(arrivals.recent, [message({ ts: "1999-01-01T00:00:00Z" })]);
  database.indexer.index(2);
  database.pass();
  assert.deepEqual(database.numbers("messages"), [2]);
});

Deno.test("Retention.step() deletes so many rows at a time, the first ones first, and ends its pass where nothing is old", () => {
  using database = new AgedDatabase();
  const { old, recent } = { old: "old", recent: "recent" } as const;
  database.arrive([
    ...Array(6).fill(old),
    recent,
    old,
    ...Array(5).fill(recent),
  ]);
  database.arrive([old]);
  const [first, second, ...others] = database.pass();
  assert.equal(first, "5,6,7,8,9,10,11,12,13,14");
  assert.equal(second, "7,8,9,10,11,12,13,14");
  // The one behind a recent one is in reach, the one behind four is not.
  assert.equal(others.at(-1), "7,9,10,11,12,13,14");
});

Deno.test("Retention.step() passes by any number of rows from the future", () => {
  using database = new AgedDatabase();
  database.arrive([...Array(10).fill("future"), "old", "recent"]);
  database.pass();
  assert.equal(database.numbers("messages").join(), "1,2,3,4,5,6,7,8,9,10,12");
});

Deno.test("Retention.step() keeps what is not indexed, and what does not say when it arrived", () => {
  using database = new AgedDatabase();
  database.arrive(["old", "old"]);
  database.db.exec("UPDATE messages SET created_at = '' WHERE seq = 1");
  database.add(arrivals.old, [message()]);
  database.pass();
  assert.deepEqual(database.numbers("messages"), [1, 3]);
  database.indexer.index(1);
  database.pass();
  assert.deepEqual(database.numbers("messages"), [1]);
});

Deno.test("Retention.step() deletes fewer rows at a time when they are large", () => {
  using database = new AgedDatabase();
  const large = [
    { text: "x".repeat(64 << 10) },
    { payload: `"${"x".repeat(1 << 20)}"` },
    {},
    {},
  ].map((fields) => message(fields));
  database.add(arrivals.old, large);
  database.indexer.index(4);
  // Steps that merge the index delete nothing.
  assert.deepEqual(Array.from(new Set(database.pass())), ["2,3,4", "3,4", ""]);
});

Deno.test("Retention.step() deletes events after messages, by their own arrival", () => {
  using database = new AgedDatabase();
  const events = () => [event(), event({ message_id: "m" }), event()];
  database.add(arrivals.old, [message({ message_id: "m" })], events());
  database.add(arrivals.old, [], events());
  database.add(arrivals.recent, [], events());
  database.indexer.index(1);
  database.pass();
  assert.deepEqual(database.numbers("messages"), []);
  assert.deepEqual(database.numbers("events"), [7, 8, 9]);
  const { total } = new Reader(database.db).listEvents(
    { messageId: "m" },
    1,
    0,
  );
  assert.equal(total, 1);
});

Deno.test("Retention.step() makes an id new again", () => {
  using database = new AgedDatabase();
  const sent = message();
  const sentEvent = event();
  database.add(arrivals.old, [sent], [sentEvent]);
  database.indexer.index(1);
  database.pass();
  assert.deepEqual(
    database.writer.insert([{ messages: [sent], events: [sentEvent] }]),
    [{ newMessages: 1, newEvents: 1 }],
  );
});

Deno.test("Retention.step() deletes all of a step or nothing", () => {
  using database = new AgedDatabase();
  database.arrive(["old", "old"]);
  database.db.exec(
    `CREATE TRIGGER refuse BEFORE DELETE ON messages WHEN old.seq = 2
     BEGIN SELECT raise(ABORT, 'refused'); END`,
  );
  assert.throws(() => database.pass(), /refused/);
  assert.deepEqual(database.numbers("messages"), [1, 2]);
  assert.equal(database.size("SELECT messages FROM totals"), 2);
  assert.equal(new Reader(database.db).stats().total_messages, 2);
});

Deno.test("Retention.step() deletes what an older version stored once it is indexed", () => {
  using database = new AgedDatabase(
    `${version1};
     INSERT INTO messages
       (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, created_at)
     VALUES
       ('a', '+1', '+2', '2025-01-15T10:00:00Z', 1736935200000, 'Hello', '${arrivals.old}'),
       ('b', '+3', '+2', '2025-01-15T10:00:00Z', 1736935200000, 'Hello', '${arrivals.recent}')`,
  );
  database.pass();
  assert.deepEqual(database.numbers("messages"), [1, 2]);
  while (database.indexer.index(1).hasMore);
  database.pass();
  const reader = new Reader(database.db);
  assert.equal(reader.stats().senders_count, 1);
  assert.equal(reader.listMessages({ q: "hell" }, 1, 0).total, 1);
});

Deno.test("Retention.step() keeps file and index bounded while rows come and go", () => {
  using database = new AgedDatabase();
  const { db, writer, indexer } = database;
  db.exec("PRAGMA synchronous = OFF");
  const retention = new Retention(db);
  const [kept, perBatch] = [1000, 125];
  const words = ["order", "invoice", "delivery", "refund", "привет"];
  const arrivalMs = (n: number) => oldestMs + n;
  function advance(n: number): void {
    const messages = Array.from({ length: perBatch }, (_, index) => {
      const number = n + index;
      return message({
        from: `+${number % 97}`,
        ts: new Date(arrivalMs(number * 1000)).toISOString(),
        text: `${words[number % 5]} ${number * 7919 % 10007} ${
          words[number % 3]
        }`,
      });
    });
    const receivedAt = new Date(arrivalMs(n)).toISOString();
    writer.insert([{ messages, events: [], receivedAt }]);
    while (indexer.index(1000).hasMore);
    while (
      retention.step(arrivalMs(n - kept + perBatch), arrivalMs(n)).goesOn
    );
  }
  const sizes = () => ({
    file: database.size("PRAGMA page_count"),
    search: database.size("SELECT sum(length(block)) FROM search_data"),
    hours: database.size("SELECT sum(length(block)) FROM sender_hours_data"),
  });
  let n = 0;
  for (; n < kept; n += perBatch) advance(n);
  const full = sizes();
  const most = { ...full };
  for (; n < 12 * kept; n += perBatch) {
    advance(n);
    for (const [name, size] of Object.entries(sizes())) {
      const part = name as keyof typeof most;
      most[part] = Math.max(most[part], size);
    }
  }
  assert.equal(database.numbers("messages").length, kept);
  for (const part of ["file", "search", "hours"] as const) {
    assert(
      most[part] < 4 * full[part],
      `${part}: ${full[part]}, then ${most[part]}`,
    );
  }
});
