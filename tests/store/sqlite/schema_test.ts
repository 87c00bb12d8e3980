import assert from "node:assert/strict";
import type { DatabaseSync } from "node:sqlite";
import {
  migrate,
  schemaVersion,
  versionOf,
} from "../../../lib/store/sqlite/schema.ts";
import { TempDatabase } from "./temp_database.ts";

/** Everything the database is made of, and its version. */
function shapeOf(db: DatabaseSync) {
  const objects = db.prepare(
    "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name",
  ).all();
  return { objects, version: versionOf(db) };
}

Deno.test("migrate() creates the table and its indexes when the database is empty", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  assert.equal(versionOf(db), 0);
  migrate(db);
  assert.equal(versionOf(db), schemaVersion);
  const columns = db.prepare("PRAGMA table_info(messages)").all()
    .map(({ name }) => name);
  assert.deepEqual(
    columns,
    "seq message_id from_msisdn to_msisdn ts ts_ms text text_folded created_at"
      .split(" "),
  );
  const indexes = db.prepare("PRAGMA index_list(messages)").all()
    .filter(({ origin }) => origin === "c").map(({ name }) => name).sort();
  assert.deepEqual(indexes, ["messages_by_instant", "messages_by_sender"]);
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
  db.exec("CREATE TABLE messages_by_sender (x)");
  const shape = shapeOf(db);
  assert.throws(() => migrate(db), /messages_by_sender/);
  assert.deepEqual(shapeOf(db), shape);
  assert.equal(db.isTransaction, false);
  db.exec("DROP TABLE messages_by_sender");
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
