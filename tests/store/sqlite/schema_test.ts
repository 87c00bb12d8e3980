import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import {
  migrate,
  schemaVersion,
  versionOf,
} from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import type { MessageFilter } from "../../../lib/store/store.ts";
import { TempDatabase } from "./temp_database.ts";
import { version1 } from "./version1.ts";

/** Everything the database is made of, and its version. */
function shapeOf(db: DatabaseSync) {
  const objects = db.prepare(
    "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name",
  ).all();
  return { objects, version: versionOf(db) };
}

const columns = {
  messages:
    "seq message_id from_msisdn to_msisdn ts ts_ms text text_folded created_at type contact_name payload",
  events: "seq event_id kind message_id ts ts_ms payload created_at",
};
const indexes = {
  messages: "messages_by_instant",
  events: "events_by_instant events_by_message",
};

/** The names of a table's columns and of the indexes made for it. */
function namesOf(db: DatabaseSync, table: keyof typeof columns) {
  return {
    columns: db.prepare(`PRAGMA table_info(${table})`).all()
      .map(({ name }) => name).join(" "),
    indexes: db.prepare(`PRAGMA index_list(${table})`).all()
      .filter(({ origin }) => origin === "c")
      .map(({ name }) => name).sort().join(" "),
  };
}

Deno.test("migrate() creates the tables and their indexes when the database is empty", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  assert.equal(versionOf(db), 0);
  migrate(db);
  assert.equal(versionOf(db), schemaVersion);
  for (const table of ["messages", "events"] as const) {
    assert.deepEqual(namesOf(db, table), {
      columns: columns[table],
      indexes: indexes[table],
    });
  }
});

Deno.test("migrate() keeps every row, as a text, when the database is of version 1", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  db.exec(version1);
  db.exec(
    `INSERT INTO messages
       (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, text_folded, created_at)
     VALUES
       ('b', '+1', '+2', '2025-01-15T10:00:00.5Z', 1736935200500, 'CAFÉ', 'café',
        '2025-01-15T10:00:01.000Z'),
       ('a', '+3', '+2', '2025-01-15T09:00:00Z', 1736931600000, NULL, NULL,
        '2025-01-15T10:00:02.000Z'),
       ('c', '+1', '+2', '2025-01-15T11:00:00Z', 1736938800000, 'x', NULL,
        '2025-01-15T11:00:02.000Z');
     DELETE FROM messages WHERE message_id = 'c'`,
  );
  const select = "SELECT * FROM messages ORDER BY seq";
  const before = db.prepare(select).all();
  migrate(db);
  assert.equal(versionOf(db), schemaVersion);
  assert.deepEqual(
    db.prepare(select).all().map((row) => ({ ...row })),
    before.map((row) => ({
      ...row,
      type: "text",
      contact_name: null,
      payload: null,
    })),
  );
  const reader = new Reader(temp.open({ readOnly: true }));
  assert.doesNotThrow(() => reader.ping());
  const b = {
    message_id: "b",
    from: "+1",
    to: "+2",
    ts: "2025-01-15T10:00:00.5Z",
    text: "CAFÉ",
  };
  const ids = (filter: MessageFilter) =>
    reader.listMessages(filter, 10, 0).data.map((row) => row.message_id).join();
  assert.equal(ids({}), "a,b");
  assert.equal(ids({ q: "Café", type: "text", from: "+1" }), "b");
  assert.deepEqual({ ...reader.getMessage("b")!.message }, {
    ...b,
    type: "text",
    contact_name: null,
    payload: null,
    received_at: "2025-01-15T10:00:01.000Z",
  });
  // New rows go on where the old ones, deleted ones too, ended.
  const again = { ...b, type: "text", contact_name: null, payload: null };
  const insert = (message_id: string) =>
    new Writer(db).insert([{
      messages: [{ ...again, message_id }],
      events: [],
    }]);
  assert.deepEqual(insert("d"), [{ newMessages: 1, newEvents: 0 }]);
  assert.deepEqual(insert("b"), [{ newMessages: 0, newEvents: 0 }]);
  assert.deepEqual(
    db.prepare(select).all().map(({ seq, message_id }) =>
      `${seq}${message_id}`
    ),
    ["1b", "2a", "4d"],
  );
});

Deno.test("migrate() gives the same schema when it starts from version 1 or from nothing", () => {
  using old = new TempDatabase();
  using fresh = new TempDatabase();
  const db = old.open();
  db.exec(version1);
  migrate(db);
  const other = fresh.open();
  migrate(other);
  assert.deepEqual(shapeOf(db), shapeOf(other));
  for (const migrated of [db, other]) {
    assert.deepEqual(
      migrated.prepare(
        "SELECT k, v FROM search_config WHERE k LIKE '%merge' ORDER BY k",
      ).all().map((row) => ({ ...row })),
      [{ k: "automerge", v: 16 }, { k: "crisismerge", v: 64 }],
    );
  }
});

Deno.test("migrate() changes nothing when the schema is applied already", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  db.exec(
    `INSERT INTO messages (message_id, from_msisdn, to_msisdn, ts, ts_ms, created_at)
     VALUES ('m', '+1', '+2', '2025-01-15T10:00:00Z', 1736935200000, '')`,
  );
  const shape = shapeOf(db);
  const rows = db.prepare("SELECT * FROM messages").all();
  migrate(db);
  migrate(temp.open());
  assert.deepEqual(shapeOf(db), shape);
  assert.deepEqual(db.prepare("SELECT * FROM messages").all(), rows);
});

Deno.test("migrate() is seen by other connections when it returns", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  assert.equal(db.isTransaction, false);
  assert.deepEqual(shapeOf(temp.open({ readOnly: true })), shapeOf(db));
});

Deno.test("migrate() throws newer_schema and leaves the database as it is when that is ahead", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  const newer = schemaVersion + 1;
  db.exec(`CREATE TABLE future (x); PRAGMA user_version = ${newer}`);
  const shape = shapeOf(db);
  assert.throws(() => migrate(db), {
    name: "StoreUnavailable",
    reason: "newer_schema",
    detail: new RegExp(`version ${newer}.* up to ${schemaVersion}:`),
  });
  assert.deepEqual(shapeOf(db), shape);
  assert.equal(db.isTransaction, false);
});

Deno.test("migrate() leaves nothing behind when a migration fails halfway", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  for (
    const [setup, name] of [["", "messages_by_sender"], [version1, "events"]]
  ) {
    db.exec(`${setup}; CREATE TABLE ${name} (x)`);
    const shape = shapeOf(db);
    assert.throws(() => migrate(db), new RegExp(name));
    assert.deepEqual(shapeOf(db), shape);
    assert.equal(db.isTransaction, false);
    db.exec(`DROP TABLE ${name}`);
  }
  migrate(db);
  assert.equal(versionOf(db), schemaVersion);
});

Deno.test("migrate() throws and changes nothing when another connection holds the write lock", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  const other = temp.open();
  db.exec("PRAGMA busy_timeout = 0");
  other.exec("BEGIN IMMEDIATE");
  assert.throws(() => migrate(db), /is locked/);
  other.exec("ROLLBACK");
  assert.deepEqual(shapeOf(db), { objects: [], version: 0 });
});
