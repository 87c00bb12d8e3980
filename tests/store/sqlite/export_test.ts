import assert from "node:assert/strict";
import type { DeliveredEvent, DeliveredMessage } from "../../../lib/message.ts";
import { storedRows } from "../../../lib/store/sqlite/export.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import { TempDatabase } from "./temp_database.ts";

function messages(count: number, payload: string | null = null) {
  return Array.from({ length: count }, (): DeliveredMessage => ({
    message_id: crypto.randomUUID(),
    from: "+1",
    to: "+2",
    ts: "2025-01-15T10:00:00Z",
    text: null,
    type: "text",
    contact_name: null,
    payload,
  }));
}

function event(event_id: string, ts: string): DeliveredEvent {
  return { event_id, kind: "calls", message_id: null, ts, payload: "{}" };
}

/** A writer and a connection to read with. */
function open(temp: TempDatabase) {
  const db = temp.open();
  db.exec("PRAGMA journal_mode = WAL");
  migrate(db);
  return { db, writer: new Writer(db), reader: temp.open({ readOnly: true }) };
}

Deno.test("storedRows() gives each row once that was there when it started, in order", () => {
  using temp = new TempDatabase();
  const { writer, reader } = open(temp);
  const early = messages(2500);
  const events = [
    event("a", "2025-01-15T10:00:00Z"),
    event("b", "2025-01-14T10:00:00Z"),
  ];
  const receivedAt = "2025-01-15T10:00:01.000Z";
  writer.insert([{ messages: early, events, receivedAt }]);
  const rows = [];
  const tables = [];
  for (const page of storedRows(reader, undefined)) {
    rows.push(...page.rows);
    tables.push(page.table);
    writer.insert([{
      messages: messages(10),
      events: [event(crypto.randomUUID(), "2025-01-15T10:00:00Z")],
    }]);
  }
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [...early, ...events].map((row) => ({ ...row, received_at: receivedAt })),
  );
  assert.equal(tables.length, 4);
});

Deno.test("storedRows() gives nothing from an empty database", () => {
  using temp = new TempDatabase();
  const { reader } = open(temp);
  assert.deepEqual(Array.from(storedRows(reader, undefined)), []);
});

Deno.test("storedRows() gives what happened at an instant or later", () => {
  using temp = new TempDatabase();
  const { writer, reader } = open(temp);
  const [before, at, after] = messages(3);
  const instants: [DeliveredMessage, string][] = [
    [after, "2025-01-15T10:00:00.002Z"],
    [before, "2025-01-15T09:59:59.999Z"],
    [at, "2025-01-15T10:00:00Z"],
  ];
  writer.insert([{
    messages: instants.map(([message, ts]) => ({ ...message, ts })),
    events: [
      event("a", "2025-01-15T09:59:59.999Z"),
      event("b", "2025-01-15T10:00:00Z"),
    ],
  }]);
  const since = Date.parse("2025-01-15T10:00:00Z");
  const ids = Array.from(storedRows(reader, since), ({ rows }) => rows).flat()
    .map((row) => "event_id" in row ? row.event_id : row.message_id);
  assert.deepEqual(ids, [after.message_id, at.message_id, "b"]);
});

Deno.test("storedRows() holds few large payloads at a time", () => {
  using temp = new TempDatabase();
  const { writer, reader } = open(temp);
  const payload = JSON.stringify("x".repeat(300_000));
  writer.insert([{ messages: messages(20, payload), events: [] }]);
  const sizes = Array.from(
    storedRows(reader, undefined),
    ({ rows }) => rows.length,
  );
  assert.equal(sizes.reduce((sum, size) => sum + size), 20);
  assert(sizes.every((size) => size <= 4), `${sizes}`);
});

Deno.test("storedRows() holds up no checkpoint between two pages", () => {
  using temp = new TempDatabase();
  const { db, writer, reader } = open(temp);
  const payload = JSON.stringify("x".repeat(300_000));
  writer.insert([{ messages: messages(1500), events: [] }]);
  writer.insert([{ messages: messages(10, payload), events: [] }]);
  let pages = 0;
  for (const _ of storedRows(reader, undefined)) {
    pages++;
    writer.insert([{ messages: messages(1), events: [] }]);
    // Fails while anybody reads.
    assert.deepEqual(
      { ...db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() },
      { busy: 0, log: 0, checkpointed: 0 },
    );
  }
  assert(pages > 3);
});
