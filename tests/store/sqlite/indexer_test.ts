import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import type { DeliveredMessage } from "../../../lib/message.ts";
import { Indexer } from "../../../lib/store/sqlite/indexer.ts";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import { Retention } from "../../../lib/store/sqlite/retention.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import { TempDatabase } from "./temp_database.ts";
import { listed, message } from "./test_store.ts";

/** So few that larger results are read the other way in the same test. */
const searchLimits = { maxSorted: 8, maxCandidates: 3 };
/** So few that most passes take several steps. */
const maxStepRows = 16;

/** A database that goes through whatever a server's goes through. */
class LivingDatabase implements Disposable {
  readonly #dir = Deno.makeTempDirSync();
  #generation = 0;
  #connections: DatabaseSync[] = [];
  writer!: Writer;
  indexer!: Indexer;
  retention!: Retention;
  reader!: Reader;

  constructor() {
    this.#open();
  }

  restart(): void {
    this.#close();
    this.#open();
  }

  /** Leaves what a process leaves that is killed: the file and its log. */
  kill(): void {
    const old = this.#path;
    this.#generation++;
    for (const suffix of ["", "-wal"]) {
      Deno.copyFileSync(old + suffix, this.#path + suffix);
    }
    this.restart();
  }

  /** The ids of the messages that are there, in the order they came. */
  ids({ indexed = false } = {}): string[] {
    const where = indexed
      ? "WHERE seq <= (SELECT indexed_seq FROM totals)"
      : "";
    return this.#connections[0].prepare(
      `SELECT message_id FROM messages ${where} ORDER BY seq`,
    ).all().map(({ message_id }) => message_id as string);
  }

  /** What the index holds that belongs to no message. */
  leftovers(): unknown[] {
    return this.#connections[0].prepare(
      `SELECT 'sender', from_msisdn FROM senders
        WHERE from_msisdn NOT IN (SELECT from_msisdn FROM messages)
       UNION ALL SELECT 'empty period', start_ms FROM periods
        WHERE messages <= 0
       UNION ALL SELECT 'gram', gram FROM grams WHERE messages <= 0
       UNION ALL SELECT 'term', term FROM search_terms
        WHERE doc NOT IN (SELECT seq FROM messages)
       UNION ALL SELECT 'hour', term FROM sender_hour_terms
        WHERE doc NOT IN (SELECT seq FROM messages)`,
    ).all();
  }

  [Symbol.dispose](): void {
    this.#close();
    Deno.removeSync(this.#dir, { recursive: true });
  }

  get #path(): string {
    return `${this.#dir}/${this.#generation}.db`;
  }

  #open(): void {
    const db = new DatabaseSync(this.#path);
    db.exec("PRAGMA journal_mode = WAL");
    migrate(db);
    const readOnly = new DatabaseSync(this.#path, { readOnly: true });
    this.#connections = [readOnly, db];
    this.writer = new Writer(db);
    this.indexer = new Indexer(db);
    this.retention = new Retention(db, maxStepRows);
    this.reader = new Reader(readOnly, searchLimits);
  }

  #close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

/** What a message's text, or a `q`, is without its case. */
function folded(text: string): string {
  return text.toLowerCase().replaceAll("ς", "σ");
}

/** The messages in their order: by instant, then by id in binary. */
function inOrder(messages: Iterable<DeliveredMessage>): DeliveredMessage[] {
  return Array.from(messages).sort((a, b) =>
    Date.parse(a.ts) - Date.parse(b.ts) ||
    (a.message_id < b.message_id ? -1 : 1)
  );
}

function statsOf(ordered: readonly DeliveredMessage[]) {
  const counts = Array.from(
    Map.groupBy(ordered, ({ from }) => from),
    ([from, { length }]) => ({ from, count: length }),
  ).sort((a, b) => b.count - a.count || (a.from < b.from ? -1 : 1));
  return {
    total_messages: ordered.length,
    senders_count: counts.length,
    messages_per_sender: counts.slice(0, 10),
    first_message_ts: ordered[0]?.ts ?? null,
    last_message_ts: ordered.at(-1)?.ts ?? null,
  };
}

/** One sender has half of the messages. */
const from = fc.oneof(
  fc.constant("+0"),
  fc.nat({ max: 13 }).map((n) => `+${n}`),
);
const type = fc.constantFrom("text", "image");
/** Minutes and days that are full, sparse, at their edges, and before 1970. */
const ts = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.nat({ max: 40 }).map((n) =>
      Date.UTC(2025, 0, 14, 23, 50) + n * 30_000
    ),
  },
  fc.nat({ max: 200_000 }).map((ms) => Date.UTC(2025, 0, 14, 23, 58) + ms),
  fc.constantFrom(0, -1, -60_000, 86_400_000, 86_399_999),
  fc.integer({ min: Date.UTC(1960, 0, 1), max: Date.UTC(2030, 0, 1) }),
  fc.constantFrom("0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z")
    .map((text) => Date.parse(text)),
).map((ms) => new Date(ms).toISOString());
const characters = fc.constantFrom(
  ..."aAbBéÉσςΣİıßẞ%_'\"*\\ 😀\x01\ufffd\uffff\u{10ffff}",
);
/** Of so few characters that long parts of texts, and most of their terms, recur. */
const fewCharacters = fc.constantFrom(..."abA");

/** A text, or what is searched for. */
function characterString(minLength: number, maxLength: number) {
  return fc.oneof(
    ...[characters, fewCharacters].map((unit) =>
      fc.string({ unit, minLength, maxLength, size: "max" })
    ),
  );
}

const batch = fc.array(
  fc.record({
    message_id: fc.nat({ max: 300 }).map((n) => `m${n}`),
    from,
    type,
    ts,
    text: fc.option(characterString(0, 12)),
  }),
  { maxLength: 60, size: "max" },
);

/** A filter that most queries go without. */
function sometimes<Value>(arbitrary: fc.Arbitrary<Value>) {
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary },
  );
}

const query = fc.record({
  from: sometimes(from),
  type: sometimes(sometimes(type)),
  since: sometimes(ts),
  q: sometimes(characterString(1, 8)),
  limit: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constant(100)),
  offset: fc.oneof(
    fc.constant(0),
    fc.nat({ max: 30 }),
    fc.nat({ max: 300 }),
  ),
});
/** The day on which rows arrive, or which they have to have arrived on to stay. */
const day = fc.nat({ max: 9 });
/** Now: what arrived later, by its own word, came when the clock was wrong. */
const today = 8;
const arrivalOf = (day: number) => Date.UTC(2025, 0, 1 + day);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ insert: batch, day }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      keepFrom: day,
      steps: fc.oneof(fc.nat({ max: 3 }), fc.constant(Infinity)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ index: fc.integer({ min: 1, max: 60 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ restart: true as const }) },
  { weight: 1, arbitrary: fc.constant({ kill: true as const }) },
  {
    weight: 5,
    arbitrary: fc.record({
      ask: fc.array(query, { minLength: 20, maxLength: 40, size: "max" }),
    }),
  },
);

Deno.test("Indexer.index() leaves nothing half done when the database is full", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  db.exec("PRAGMA journal_mode = WAL");
  migrate(db);
  const indexer = new Indexer(db);
  const reader = new Reader(db);
  const limitTo = (pages: string) =>
    db.exec(`PRAGMA max_page_count = ${pages}`);
  const messages = Array.from(
    { length: 50 },
    () => message({ text: crypto.randomUUID() }),
  );
  new Writer(db).insert([{ messages, events: [] }]);
  // SQLite makes the limit as small as the database is.
  limitTo("1");
  assert.throws(() => indexer.index(50), {
    message: "database or disk is full",
  });
  const figures = () => [
    reader.stats().total_messages,
    reader.listMessages({ q: "-" }, 1, 0).total,
  ];
  assert.deepEqual(figures(), [50, 50]);
  limitTo("1000000");
  indexer.index(50);
  assert.deepEqual(figures(), [50, 50]);
  assert.equal(db.prepare("SELECT messages FROM totals").get()!.messages, 50);
});

Deno.test("Reader answers like a plain scan, whatever was inserted, indexed, deleted, restarted, killed and asked", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 14 }), (steps) => {
      using database = new LivingDatabase();
      const stored = new Map<string, DeliveredMessage>();
      const days = new Map<string, number>();
      for (const step of steps) {
        if ("insert" in step) {
          const messages = step.insert.map(message);
          const receivedAt = new Date(arrivalOf(step.day)).toISOString();
          database.writer.insert([{ messages, events: [], receivedAt }]);
          for (const message of messages) {
            if (stored.has(message.message_id)) continue;
            stored.set(message.message_id, message);
            days.set(message.message_id, step.day);
          }
        } else if ("keepFrom" in step) {
          const isOld = (id: string) => days.get(id)! < step.keepFrom;
          const indexed = new Set(database.ids({ indexed: true }));
          const [oldestMs, nowMs] = [
            arrivalOf(step.keepFrom),
            arrivalOf(today),
          ];
          let isOver = false;
          for (let n = 0; n < step.steps && !isOver; n++) {
            isOver = !database.retention.step(oldestMs, nowMs).goesOn;
          }
          const left = new Set(database.ids());
          for (const id of Array.from(stored.keys())) {
            if (left.has(id)) continue;
            assert(isOld(id) && indexed.has(id), id);
            stored.delete(id);
          }
          assert.deepEqual(database.leftovers(), []);
        } else if ("index" in step) {
          database.indexer.index(step.index);
        } else if ("restart" in step) {
          database.restart();
        } else if ("kill" in step) {
          database.kill();
        } else {
          const ordered = inOrder(stored.values());
          const stats = database.reader.stats();
          assert.deepEqual(
            JSON.parse(JSON.stringify(stats)),
            statsOf(ordered),
          );
          for (const query of step.ask) check(database.reader, ordered, query);
          assert.equal(database.ids().length, stored.size);
        }
      }
    }),
    { numRuns: 150 },
  );
});

function check(
  reader: Reader,
  ordered: readonly DeliveredMessage[],
  { limit, offset, since, ...filter }: typeof query extends
    fc.Arbitrary<infer Query> ? Query : never,
): void {
  const { from, type, q } = filter;
  const sinceMs = since === undefined ? undefined : Date.parse(since);
  const found = ordered.filter((message) =>
    message.from === (from ?? message.from) &&
    message.type === (type ?? message.type) &&
    Date.parse(message.ts) >= (sinceMs ?? -Infinity) &&
    (q === undefined ||
      (message.text !== null && folded(message.text).includes(folded(q))))
  );
  const page = reader.listMessages({ ...filter, sinceMs }, limit, offset);
  assert.deepEqual(
    { total: page.total, data: page.data.map((row) => ({ ...row })) },
    {
      total: found.length,
      data: found.slice(offset, offset + limit).map(listed),
    },
  );
}

Deno.test("Indexer.index() indexes so many messages at a time and tells whether there are more", () => {
  using database = new LivingDatabase();
  const nothing = { messages: 0, hasMore: false };
  assert.deepEqual(database.indexer.index(2), nothing);
  const messages = ["a", "b", "c"].map((message_id) => message({ message_id }));
  database.writer.insert([{ messages, events: [] }]);
  assert.deepEqual(database.indexer.index(2), { messages: 2, hasMore: true });
  assert.deepEqual(database.indexer.index(2), { messages: 1, hasMore: false });
  assert.deepEqual(database.indexer.index(2), nothing);
});

Deno.test("Indexer.index() indexes fewer messages at a time when their texts are long", () => {
  using database = new LivingDatabase();
  const megabyte = 1 << 20;
  const messages = [0, 1, 2, 3].map((n) =>
    message({
      message_id: `m${n}`,
      text: n === 1 ? null : "x".repeat(megabyte - 1) + n,
    })
  );
  database.writer.insert([{ messages, events: [] }]);
  let steps = 1;
  while (database.indexer.index(100).hasMore) steps++;
  assert.equal(steps, 3);
  const { total } = database.reader.listMessages({ q: "xx3" }, 1, 0);
  assert.equal(total, 1);
});

Deno.test("Indexer.index() indexes fewer messages at a time when their texts hold many different characters", () => {
  using database = new LivingDatabase();
  const firstIdeograph = 0x4e00;
  const characters = 4096;
  const messages = [0, 1, 2, 3, 4, 5, 6, 7].map((n) =>
    message({
      text: String.fromCodePoint(
        ...Array.from(
          { length: characters },
          (_, index) => firstIdeograph + n * characters + index,
        ),
      ),
    })
  );
  database.writer.insert([{ messages, events: [] }]);
  const index = () => database.indexer.index(100).messages;
  assert.deepEqual([index(), index(), index(), index()], [3, 3, 2, 0]);
  const { total } = database.reader.listMessages({ q: "\u4e01\u4e02" }, 1, 0);
  assert.equal(total, 1);
});

Deno.test("Indexer.index() indexes nothing twice when another process is faster", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  const indexer = new Indexer(db);
  const other = new Indexer(temp.open());
  const messages = ["a", "b", "c"].map((text) => message({ text }));
  new Writer(db).insert([{ messages, events: [] }]);
  const exec = db.exec.bind(db);
  db.exec = (sql) => {
    if (sql === "BEGIN IMMEDIATE") other.index(2);
    exec(sql);
  };
  assert.deepEqual(indexer.index(2), { messages: 1, hasMore: false });
  assert.equal(new Reader(db).stats().total_messages, 3);
  assert.equal(new Reader(db).listMessages({ q: "a" }, 1, 0).total, 1);
});
