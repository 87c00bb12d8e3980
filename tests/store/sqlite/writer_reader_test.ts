import assert from "node:assert/strict";
import fc from "fast-check";
import type { DeliveredMessage, Delivery } from "../../../lib/message.ts";
import { EventCounter } from "../../../lib/store/sqlite/event_counter.ts";
import { Indexer } from "../../../lib/store/sqlite/indexer.ts";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import type { EventFilter, MessageFilter } from "../../../lib/store/store.ts";
import { TempDatabase } from "./temp_database.ts";
import {
  allRows,
  event,
  listed,
  message,
  singly,
  status,
  TestStore,
} from "./test_store.ts";

Deno.test("Writer.insert() keeps a message as it was sent when it is new", () => {
  using store = new TestStore();
  const messages = [
    message({ message_id: "  'x'\n", ts: "2025-01-15T10:00:00.1234567Z" }),
    message({ message_id: "😀".repeat(512), text: "Ünï 😀 'q' \\ %" }),
    message({ message_id: "z", from: `+${"9".repeat(32)}`, text: "" }),
  ];
  assert.deepEqual(store.insert(messages), [true, true, true]);
  const rows = new Map(store.list().map((row) => [row.message_id, row]));
  for (const sent of messages) {
    assert.deepEqual(rows.get(sent.message_id), listed(sent));
  }
});

Deno.test("Writer.insert() keeps the first when duplicates come in one batch or a later one", () => {
  using store = new TestStore();
  const first = message({ message_id: "m", text: "first" });
  const other = message({ message_id: "n" });
  const again: DeliveredMessage = {
    message_id: "m",
    from: "+7",
    to: "+8",
    ts: "2020-01-01T00:00:00Z",
    text: "again",
    type: "image",
    contact_name: "Again",
    payload: "{}",
  };
  assert.deepEqual(
    store.insert([first, again, other, first]),
    [true, false, true, false],
  );
  assert.deepEqual(
    store.insert([again, other, message({ message_id: "M" })]),
    [false, false, true],
  );
  assert.deepEqual(store.ids(), ["M", "m", "n"]);
  assert.deepEqual(store.list()[1], listed(first));
  const { received_at: _, ...kept } = store.get("m")!.message;
  assert.deepEqual(kept, first);
});

Deno.test("Writer.insert() writes nothing when all of a batch is known", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  db.exec("PRAGMA journal_mode = WAL");
  migrate(db);
  const writer = new Writer(db);
  const batch = [{ messages: [message(), message()], events: [event()] }];
  writer.insert(batch);
  const other = temp.open();
  // It changes when another connection has written.
  const version = () => other.prepare("PRAGMA data_version").get();
  const before = version();
  assert.deepEqual(writer.insert(batch), [{ newMessages: 0, newEvents: 0 }]);
  assert.deepEqual(version(), before);
  writer.insert([{ messages: [message()], events: [] }]);
  assert.notDeepEqual(version(), before);
});

Deno.test("Writer.insert() tells ids apart when they differ in case, form or blanks", () => {
  using store = new TestStore();
  const ids = ["a", "A", "a ", " a", "é", "e\u0301", "1", "01", "1.0"];
  const batch = ids.map((message_id) => message({ message_id }));
  assert.deepEqual(store.insert(batch), ids.map(() => true));
  assert.deepEqual(store.ids().toSorted(), ids.toSorted());
});

Deno.test("Writer.insert() stores nothing of a batch when one row fails", () => {
  using store = new TestStore();
  const bad = message({ ts: "yesterday" });
  assert.throws(() => store.insert([message(), bad, message()]));
  assert.deepEqual(store.ids(), []);
  assert.deepEqual(store.insert([message({ message_id: "m" })]), [true]);
  assert.deepEqual(store.ids(), ["m"]);
});

Deno.test("Writer.insert() counts what was new of each delivery when some of it is known", () => {
  using store = new TestStore();
  const [a, b, c] = ["a", "b", "c"].map((message_id) =>
    message({ message_id })
  );
  const [e, f] = ["e", "f"].map((event_id) => event({ event_id }));
  const counts = store.writer.insert([
    { messages: [a, b, a], events: [e] },
    { messages: [a], events: [e, f, f] },
    { messages: [], events: [] },
    { messages: [c, b], events: [] },
  ]);
  assert.deepEqual(counts, [
    { newMessages: 2, newEvents: 1 },
    { newMessages: 0, newEvents: 1 },
    { newMessages: 0, newEvents: 0 },
    { newMessages: 1, newEvents: 0 },
  ]);
  assert.deepEqual(store.ids(), ["a", "b", "c"]);
  assert.deepEqual(store.eventIds(), ["e", "f"]);
});

Deno.test("Writer.insert() stores nothing of a delivery when one of its rows fails", () => {
  const ts = "yesterday";
  const failing: Delivery[] = [
    { messages: [message(), message({ ts })], events: [event()] },
    { messages: [message()], events: [event(), event({ ts })] },
  ];
  using store = new TestStore([message({ message_id: "m" })], [
    event({ event_id: "e" }),
  ]);
  for (const delivery of failing) {
    assert.throws(() => store.writer.insert([delivery]));
    assert.deepEqual(store.ids(), ["m"]);
    assert.deepEqual(store.eventIds(), ["e"]);
  }
});

Deno.test("Writer.insert() keeps the first when an event comes again with other content", () => {
  using store = new TestStore([], [event({ event_id: "e", kind: "first" })]);
  const again = event({
    event_id: "e",
    kind: "again",
    ts: "2020-01-01T00:00:00Z",
    payload: "[]",
  });
  const counts = store.writer.insert([{ messages: [], events: [again] }]);
  assert.deepEqual(counts, [{ newMessages: 0, newEvents: 0 }]);
  const { data, total } = store.reader.listEvents({}, allRows, 0);
  assert.equal(total, 1);
  assert.equal(data[0].kind, "first");
  assert.equal(data[0].payload, "{}");
});

Deno.test("Writer.insert() stores nothing when the batch is empty", () => {
  using store = new TestStore();
  assert.deepEqual(store.writer.insert([]), []);
  assert.deepEqual(store.ids(), []);
});

Deno.test("Reader.listMessages() orders by instant when fractions stand beside whole seconds", () => {
  const ordered = [
    "1969-12-31T23:59:59.999Z",
    "2025-01-15T09:59:59.999Z",
    "2025-01-15T10:00:00Z",
    "2025-01-15T10:00:00.001Z",
    "2025-01-15T10:00:00.01Z",
    "2025-01-15T10:00:00.5Z",
    "2025-01-15T10:00:01Z",
  ];
  using store = new TestStore(
    ordered.toReversed().map((ts) => message({ ts })),
  );
  assert.deepEqual(store.list().map(({ ts }) => ts), ordered);
});

Deno.test("Reader.listMessages() orders by message_id in binary when instants are the same millisecond", () => {
  // U+FF5E comes before U+1F600, though not in UTF-16.
  const ids = [" ", "10", "9", "A", "B", "a", "a ", "aa", "é", "\uff5e", "😀"];
  const spellings = ["", ".0", ".000", ".0009999"];
  using store = new TestStore(
    ids.toReversed().map((message_id, index) =>
      message({ message_id, ts: `2025-01-15T10:00:00${spellings[index % 4]}Z` })
    ),
  );
  assert.deepEqual(store.ids(), ids);
});

Deno.test("Reader.listMessages() counts all that match when limit and offset cut the page", () => {
  const batch = ["a", "b", "c", "d", "e"].map((message_id) =>
    message({ message_id, from: message_id === "c" ? "+9" : "+1" })
  );
  using store = new TestStore(batch);
  const pages: [
    MessageFilter,
    limit: number,
    offset: number,
    string,
    number,
  ][] = [
    [{}, 2, 0, "ab", 5],
    [{}, 2, 2, "cd", 5],
    [{}, 2, 4, "e", 5],
    [{}, 2, 5, "", 5],
    [{}, 100, Number.MAX_SAFE_INTEGER, "", 5],
    [{ from: "+1" }, 1, 2, "d", 4],
    [{ from: "+9" }, 1, 1, "", 1],
    [{ from: "+5" }, 1, 0, "", 0],
  ];
  for (const [filter, limit, offset, ids, total] of pages) {
    const page = store.reader.listMessages(filter, limit, offset);
    assert.equal(page.data.map((row) => row.message_id).join(""), ids);
    assert.equal(page.total, total);
  }
});

Deno.test("Reader.listMessages() gives what passes every filter when several are set", () => {
  using store = new TestStore([
    message({ message_id: "a", ts: "2025-01-15T10:00:00Z", text: "Hi" }),
    message({ message_id: "b", ts: "2025-01-15T10:00:00.5Z", text: "oh, HI" }),
    message({ message_id: "c", ts: "2025-01-15T10:00:01Z", text: null }),
    message({ message_id: "d", ts: "2025-01-15T10:00:02Z", from: "+11" }),
    message({ message_id: "e", ts: "2025-01-15T10:00:03Z", text: "hi" }),
    message({
      message_id: "f",
      ts: "2025-01-15T10:00:04Z",
      from: "+11",
      text: "hi",
    }),
  ]);
  const at = Date.UTC(2025, 0, 15, 10);
  const filters: [filter: MessageFilter, ids: string][] = [
    [{}, "abcdef"],
    [{ from: "+1" }, "abce"],
    [{ from: "+11" }, "df"],
    [{ from: "1" }, ""],
    [{ from: "+%" }, ""],
    [{ sinceMs: at }, "abcdef"],
    [{ sinceMs: at + 1 }, "bcdef"],
    [{ sinceMs: at + 500 }, "bcdef"],
    [{ sinceMs: at + 501 }, "cdef"],
    [{ sinceMs: at + 4001 }, ""],
    [{ sinceMs: -1e12 }, "abcdef"],
    [{ q: "hi" }, "abef"],
    [{ from: "+1", q: "hi" }, "abe"],
    [{ from: "+11", sinceMs: at + 2001 }, "f"],
    [{ sinceMs: at + 1, q: "hi" }, "bef"],
    [{ from: "+1", sinceMs: at + 1, q: "hi" }, "be"],
    [{ from: "+1", sinceMs: at + 1, q: "ho" }, ""],
  ];
  for (const [filter, ids] of filters) {
    assert.equal(store.ids(filter).join(""), ids, JSON.stringify(filter));
  }
});

Deno.test("Reader.listMessages() finds a text when q stands in it, every character literal, in any case", () => {
  const texts = [
    "100% sure",
    "100 sure",
    "snake_case",
    "snake-case",
    "C:\\temp",
    "it's",
    'say "hi"',
    "CAFÉ",
    "café",
    "ΟΔΟΣ",
    "οδος",
    "ΟΔΟΣΑ",
    "ПРИВЕТ",
    "İSTANBUL",
    "istanbul",
    "STRAẞE",
    "日本 😀",
    "*?[a]",
  ];
  using store = new TestStore([
    ...texts.map((text) => message({ text })),
    message({ text: null }),
    message({ text: "" }),
  ]);
  const searches: [q: string, found: string[]][] = [
    ["%", ["100% sure"]],
    ["0% S", ["100% sure"]],
    ["_", ["snake_case"]],
    ["E_C", ["snake_case"]],
    ["\\", ["C:\\temp"]],
    ["c:\\TEMP", ["C:\\temp"]],
    ["\\\\", []],
    ["'", ["it's"]],
    ["''", []],
    ['"HI"', ['say "hi"']],
    ["É", ["CAFÉ", "café"]],
    ["é", ["CAFÉ", "café"]],
    ["Café", ["CAFÉ", "café"]],
    ["cafe", []],
    ["Σ", ["ΟΔΟΣ", "οδος", "ΟΔΟΣΑ"]],
    ["σ", ["ΟΔΟΣ", "οδος", "ΟΔΟΣΑ"]],
    ["ς", ["ΟΔΟΣ", "οδος", "ΟΔΟΣΑ"]],
    ["Οδος", ["ΟΔΟΣ", "οδος", "ΟΔΟΣΑ"]],
    ["οδοσα", ["ΟΔΟΣΑ"]],
    ["привет", ["ПРИВЕТ"]],
    ["Иве", ["ПРИВЕТ"]],
    ["İ", ["İSTANBUL"]],
    ["İstanbul", ["İSTANBUL"]],
    ["STANBUL", ["İSTANBUL", "istanbul"]],
    ["straße", ["STRAẞE"]],
    ["😀", ["日本 😀"]],
    ["*", ["*?[a]"]],
    ["[A]", ["*?[a]"]],
    [" ", ["100% sure", "100 sure", 'say "hi"', "日本 😀"]],
    ["null", []],
    ["100% sure ", []],
  ];
  for (const [q, found] of searches) {
    const page = store.reader.listMessages({ q }, allRows, 0);
    assert.deepEqual(
      page.data.map(({ text }) => text).toSorted(),
      found.toSorted(),
      q,
    );
    assert.equal(page.total, found.length, q);
  }
});

Deno.test("Reader.listMessages() finds a text of thousands of letters soon, whichever way it looks", () => {
  const texts = Array.from(
    { length: 200 },
    (_, n) => "a".repeat(4000 - n) + (n % 2 === 0 ? "b" : "c"),
  );
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  new Writer(db).insert(
    singly(texts.map((text, n) => message({ message_id: `${n}`, text }))),
  );
  const indexer = new Indexer(db);
  while (indexer.index(texts.length).hasMore);
  const ways = [{}, { maxCandidates: 1 }, { maxCandidates: 1, maxSorted: 1 }];
  for (const limits of ways) {
    const reader = new Reader(db, limits);
    for (const length of [31, 32, 33, 3000, 3900, 4000]) {
      const q = `${"A".repeat(length)}b`;
      const startMs = performance.now();
      const { total, data } = reader.listMessages({ q }, 100, 0);
      const tookMs = performance.now() - startMs;
      const holding = texts.filter((text) => text.includes(q.toLowerCase()));
      assert.equal(total, holding.length);
      assert.equal(data.length, holding.length);
      // As a phrase the longer ones take seconds.
      assert(tookMs < 1000, `${length} letters took ${tookMs} ms`);
    }
  }
});

Deno.test("Reader.listMessages() gives what has the type when type is set", () => {
  using store = new TestStore([
    message({ message_id: "a", type: "image", text: "hi" }),
    message({ message_id: "b", type: "text", text: "hi" }),
    message({ message_id: "c", type: "image" }),
    message({ message_id: "d", type: "Image", from: "+9" }),
  ]);
  const filters: [filter: MessageFilter, ids: string][] = [
    [{}, "abcd"],
    [{ type: "image" }, "ac"],
    [{ type: "text" }, "b"],
    [{ type: "im" }, ""],
    [{ type: "%" }, ""],
    [{ type: "image", q: "HI" }, "a"],
    [{ type: "Image", from: "+9" }, "d"],
    [{ type: "Image", from: "+1" }, ""],
  ];
  for (const [filter, ids] of filters) {
    const page = store.reader.listMessages(filter, 1, 0);
    assert.equal(store.ids(filter).join(""), ids, JSON.stringify(filter));
    assert.equal(page.total, ids.length);
    assert.deepEqual(
      Object.keys(page.data[0] ?? listed(message())),
      Object.keys(listed(message())),
    );
  }
});

Deno.test("Reader.getMessage() gives all there is of a message, and undefined for another id", () => {
  const sent = message({
    message_id: "a/b+c= 😀",
    text: "Hi",
    type: "image",
    contact_name: "Åsa",
    payload: '{ "n" : 1e400, "n":"\\ud800\\u0000" }',
  });
  const before = new Date().toISOString();
  using store = new TestStore([sent, message({ message_id: "A" })]);
  const { message: { received_at, ...found }, statuses } = store.get(
    sent.message_id,
  )!;
  assert.deepEqual(found, sent);
  assert.deepEqual(statuses, []);
  assert.equal(new Date(received_at).toISOString(), received_at);
  assert(before <= received_at && received_at <= new Date().toISOString());
  for (const id of ["", "a", "A ", "a/b", "%", "a\0", "\ud800"]) {
    assert.equal(store.get(id), undefined, id);
  }
});

Deno.test("Reader.getMessage() orders statuses by instant and by rank, whatever the order of arrival", () => {
  const [first, second] = ["2025-01-15T10:00:00Z", "2025-01-15T10:00:01Z"];
  const ordered = [
    status("read", first),
    status("sent", second),
    status("delivered", second),
    status("read", second),
    status("played", second),
    status("failed", second),
  ];
  const noise = [
    status("read", first, "M"),
    event({ kind: "calls", message_id: "m", payload: '{"status":"call"}' }),
    event({ kind: "status", payload: '{"status":"of no message"}' }),
  ];
  const orders = fc.shuffledSubarray([...ordered, ...noise], {
    minLength: ordered.length + noise.length,
  });
  fc.assert(
    fc.property(orders, (arrived) => {
      using store = new TestStore([message({ message_id: "m" })], arrived);
      assert.deepEqual(
        store.reader.getMessage("m")!.statuses,
        ordered.map(({ payload }) => payload),
      );
    }),
    { numRuns: 20 },
  );
});

Deno.test("Reader.getMessage() keeps the order of arrival when nothing else tells statuses apart", () => {
  const ts = "2025-01-15T10:00:00Z";
  using store = new TestStore([message({ message_id: "m" })], [
    status("warning", ts),
    status("failed", ts),
    status("deleted", ts),
    status("sent", ts),
  ]);
  assert.deepEqual(
    store.get("m")!.statuses,
    ["sent", "warning", "failed", "deleted"],
  );
});

Deno.test("Reader.listEvents() gives an event as it was sent when it is stored", () => {
  const sent = event({
    kind: "status",
    message_id: "m",
    ts: "2025-01-15T10:00:00.125Z",
    payload: '{ "n" : 12345678901234567890, "n":"\\ud800" }',
  });
  const before = new Date().toISOString();
  using store = new TestStore([], [sent]);
  const [{ received_at, ...found }] =
    store.reader.listEvents({}, allRows, 0).data;
  assert.deepEqual(found, sent);
  assert(before <= received_at && received_at <= new Date().toISOString());
});

Deno.test("Reader.listEvents() orders by instant and id, filters and counts", () => {
  const at = Date.UTC(2025, 0, 15, 10);
  const ts = (ms: number) => new Date(at + ms).toISOString();
  using store = new TestStore([message({ message_id: "m" })], [
    event({ event_id: "e", ts: ts(5), kind: "calls" }),
    event({ event_id: "d", ts: ts(1), kind: "status", message_id: "m" }),
    event({ event_id: "b", ts: ts(1), kind: "status", message_id: "n" }),
    event({ event_id: "c", ts: ts(1), kind: "calls" }),
    event({ event_id: "a", ts: ts(2), kind: "status", message_id: "m" }),
  ]);
  const pages: [
    EventFilter,
    ids: string,
    total: number,
    limit?: number,
    offset?: number,
  ][] = [
    [{}, "bcdae", 5],
    [{}, "cd", 5, 2, 1],
    [{}, "", 5, 2, 5],
    [{ kind: "status" }, "bda", 3],
    [{ kind: "status" }, "a", 3, 2, 2],
    [{ kind: "Status" }, "", 0],
    [{ kind: "%" }, "", 0],
    [{ messageId: "m" }, "da", 2],
    [{ messageId: "x" }, "", 0],
    [{ sinceMs: at + 2 }, "ae", 2],
    [{ sinceMs: at + 3 }, "e", 1],
    [{ sinceMs: at + 2, kind: "status" }, "a", 1],
    [{ sinceMs: at + 2, kind: "status", messageId: "n" }, "", 0],
    [{ kind: "calls", messageId: "m" }, "", 0],
  ];
  for (const [filter, ids, total, limit = allRows, offset = 0] of pages) {
    const hint = JSON.stringify(filter);
    assert.equal(store.eventIds(filter, limit, offset).join(""), ids, hint);
    const page = store.reader.listEvents(filter, limit, offset);
    assert.equal(page.total, total, hint);
  }
});

Deno.test("Reader.stats() gives zeros and nulls when there are no messages", () => {
  using store = new TestStore();
  assert.deepEqual(store.stats(), {
    total_messages: 0,
    senders_count: 0,
    messages_per_sender: [],
    first_message_ts: null,
    last_message_ts: null,
  });
});

Deno.test("Reader.stats() gives the ten most frequent, ties by sender, when there are more", () => {
  const counts: Record<string, number> = {
    "+9": 3,
    "+10": 3,
    "+2": 5,
    "+30": 1,
    "+3": 1,
    "+31": 1,
    "+4": 1,
    "+5": 1,
    "+6": 1,
    "+7": 1,
    "+8": 1,
    "+11": 1,
  };
  using store = new TestStore(
    Object.entries(counts).flatMap(([from, count]) =>
      Array.from({ length: count }, () => message({ from }))
    ),
  );
  const { messages_per_sender, ...rest } = store.stats();
  assert.deepEqual(
    messages_per_sender.map(({ from, count }) => `${from}: ${count}`),
    "+2: 5,+10: 3,+9: 3,+11: 1,+3: 1,+30: 1,+31: 1,+4: 1,+5: 1,+6: 1".split(
      ",",
    ),
  );
  assert.equal(rest.total_messages, 20);
  assert.equal(rest.senders_count, 12);
});

Deno.test("Reader.stats() gives the first and last ts as sent when ordered by instant", () => {
  using store = new TestStore([
    message({ ts: "2025-01-15T10:00:00.250Z" }),
    message({ ts: "2025-01-15T10:00:00Z" }),
    message({ ts: "2025-01-15T11:00:00.5000Z" }),
    message({ ts: "2025-01-15T11:00:00Z" }),
  ]);
  const { first_message_ts, last_message_ts } = store.stats();
  assert.equal(first_message_ts, "2025-01-15T10:00:00Z");
  assert.equal(last_message_ts, "2025-01-15T11:00:00.5000Z");
});

Deno.test("Reader.figures() counts rows, but not so many that it would take long", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  const reader = new Reader(db);
  assert.deepEqual(reader.figures(), { messages: 0, events: 0 });
  const numbers = (count: number) =>
    `WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT ${count})`;
  const addMessages = (count: number) =>
    db.exec(
      `INSERT INTO messages
         (message_id, from_msisdn, to_msisdn, ts, ts_ms, created_at)
       ${numbers(count)}
       SELECT hex(randomblob(8)), '+1', '+2', '', 0, '' FROM n`,
    );
  const addEvents = (count: number) =>
    db.exec(
      `INSERT INTO events (event_id, kind, ts, ts_ms, payload, created_at)
       ${numbers(count)}
       SELECT hex(randomblob(8)), 'calls', '', 0, '{}', '' FROM n`,
    );
  addMessages(2000);
  new Indexer(db).index(1500);
  addEvents(300);
  new EventCounter(db).count(200);
  assert.deepEqual(reader.figures(), { messages: 2000, events: 300 });
  addMessages(60_000);
  assert.deepEqual(reader.figures(), { messages: undefined, events: 300 });
  addEvents(60_000);
  assert.equal(reader.figures().events, undefined);
});

Deno.test("Reader.ping() throws when the schema is not applied", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  const reader = new Reader(db);
  assert.throws(() => reader.ping(), { name: "StoreUnavailable" });
  migrate(db);
  assert.doesNotThrow(() => reader.ping());
});

Deno.test("Writer.insert() stores nothing of a batch when the database is full, and all of it when there is room", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  const writer = new Writer(db);
  const count = () =>
    db.prepare("SELECT count(*) AS count FROM messages").get()!.count;
  const batch = singly(
    ["a", "b"].map((message_id) =>
      message({ message_id, text: "x".repeat(100_000) })
    ),
  );
  const { page_count } = db.prepare("PRAGMA page_count").get()!;
  db.exec(`PRAGMA max_page_count = ${Number(page_count) + 30}`);
  assert.throws(() => writer.insert(batch), /database or disk is full/);
  assert.equal(count(), 0);
  db.exec(`PRAGMA max_page_count = ${Number(page_count) + 100}`);
  writer.insert(batch);
  assert.equal(count(), 2);
});
