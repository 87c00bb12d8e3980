import assert from "node:assert/strict";
import type { Message } from "../../../lib/message.ts";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import type { MessageFilter } from "../../../lib/store/store.ts";
import { TempDatabase } from "./temp_database.ts";

const allRows = 1000;

let lastId = 0;

function message(fields: Partial<Message> = {}): Message {
  return {
    message_id: `m${++lastId}`,
    from: "+1",
    to: "+2",
    ts: "2025-01-15T10:00:00Z",
    text: null,
    ...fields,
  };
}

/** A writer and a reader of one database, on connections of their own. */
class TestStore implements Disposable {
  readonly #temp = new TempDatabase();
  readonly writer: Writer;
  readonly reader: Reader;

  constructor(messages: readonly Message[] = []) {
    const db = this.#temp.open();
    db.exec("PRAGMA journal_mode = WAL");
    migrate(db);
    this.writer = new Writer(db);
    this.reader = new Reader(this.#temp.open({ readOnly: true }));
    this.writer.insert(messages);
  }

  list(filter: MessageFilter = {}, limit = allRows, offset = 0): Message[] {
    return this.reader.list(filter, limit, offset).data
      .map((row) => ({ ...row }));
  }

  ids(filter: MessageFilter = {}, limit = allRows, offset = 0): string[] {
    return this.list(filter, limit, offset).map((row) => row.message_id);
  }

  stats() {
    const { messages_per_sender, ...rest } = this.reader.stats();
    return {
      ...rest,
      messages_per_sender: messages_per_sender.map((row) => ({ ...row })),
    };
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}

Deno.test("Writer.insert() keeps a message as it was sent when it is new", () => {
  using store = new TestStore();
  const messages = [
    message({ message_id: "  'x'\n", ts: "2025-01-15T10:00:00.1234567Z" }),
    message({ message_id: "😀".repeat(512), text: "Ünï 😀 'q' \\ %" }),
    message({ message_id: "z", from: `+${"9".repeat(32)}`, text: "" }),
  ];
  assert.deepEqual(store.writer.insert(messages), [true, true, true]);
  const rows = new Map(store.list().map((row) => [row.message_id, row]));
  for (const sent of messages) {
    assert.deepEqual(rows.get(sent.message_id), sent);
  }
});

Deno.test("Writer.insert() keeps the first when duplicates come in one batch or a later one", () => {
  using store = new TestStore();
  const first = message({ message_id: "m", text: "first" });
  const other = message({ message_id: "n" });
  const again: Message = {
    message_id: "m",
    from: "+7",
    to: "+8",
    ts: "2020-01-01T00:00:00Z",
    text: "again",
  };
  assert.deepEqual(
    store.writer.insert([first, again, other, first]),
    [true, false, true, false],
  );
  assert.deepEqual(
    store.writer.insert([again, other, message({ message_id: "M" })]),
    [false, false, true],
  );
  assert.deepEqual(store.ids(), ["M", "m", "n"]);
  assert.deepEqual(store.list()[1], first);
});

Deno.test("Writer.insert() tells ids apart when they differ in case, form or blanks", () => {
  using store = new TestStore();
  const ids = ["a", "A", "a ", " a", "é", "e\u0301", "1", "01", "1.0"];
  const batch = ids.map((message_id) => message({ message_id }));
  assert.deepEqual(store.writer.insert(batch), ids.map(() => true));
  assert.deepEqual(store.ids().toSorted(), ids.toSorted());
});

Deno.test("Writer.insert() stores nothing of a batch when one row fails", () => {
  using store = new TestStore();
  const bad = message({ ts: "yesterday" });
  assert.throws(() => store.writer.insert([message(), bad, message()]));
  assert.deepEqual(store.ids(), []);
  assert.deepEqual(store.writer.insert([message({ message_id: "m" })]), [true]);
  assert.deepEqual(store.ids(), ["m"]);
});

Deno.test("Writer.insert() stores nothing when the batch is empty", () => {
  using store = new TestStore();
  assert.deepEqual(store.writer.insert([]), []);
  assert.deepEqual(store.ids(), []);
});

Deno.test("Reader.list() orders by instant when fractions stand beside whole seconds", () => {
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

Deno.test("Reader.list() orders by message_id in binary when instants are the same millisecond", () => {
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

Deno.test("Reader.list() counts all that match when limit and offset cut the page", () => {
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
    const page = store.reader.list(filter, limit, offset);
    assert.equal(page.data.map((row) => row.message_id).join(""), ids);
    assert.equal(page.total, total);
  }
});

Deno.test("Reader.list() gives what passes every filter when several are set", () => {
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

Deno.test("Reader.list() finds a text when q stands in it, every character literal, in any case", () => {
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
    const page = store.reader.list({ q }, allRows, 0);
    assert.deepEqual(
      page.data.map(({ text }) => text).toSorted(),
      found.toSorted(),
      q,
    );
    assert.equal(page.total, found.length, q);
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

Deno.test("Reader.ping() throws when the schema is not applied", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  const reader = new Reader(db);
  assert.throws(() => reader.ping(), { name: "StoreUnavailable" });
  migrate(db);
  assert.doesNotThrow(() => reader.ping());
});
