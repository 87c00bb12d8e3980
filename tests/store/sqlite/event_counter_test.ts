import assert from "node:assert/strict";
import { EventCounter } from "../../../lib/store/sqlite/event_counter.ts";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import { TempDatabase } from "./temp_database.ts";
import { event } from "./test_store.ts";

Deno.test("EventCounter.count() keeps the count right when events come and go, counted or not", () => {
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  const writer = new Writer(db);
  const reader = new Reader(db);
  const counter = new EventCounter(db);
  const insert = (count: number) =>
    writer.insert([{
      messages: [],
      events: Array.from({ length: count }, () => event()),
    }]);
  const kept = () =>
    Number(db.prepare("SELECT events FROM totals").get()!.events);
  const counts = () => [kept(), reader.figures().events];

  assert.equal(counter.count(10), false);
  insert(25);
  assert.deepEqual(counts(), [0, 25]);
  assert.equal(counter.count(10), true);
  assert.deepEqual(counts(), [10, 25]);
  // Of counted ones, of one that isn't, and of the last ones, whose numbers are
  // not used again.
  db.exec("DELETE FROM events WHERE seq IN (1, 10, 11)");
  assert.deepEqual(counts(), [8, 22]);
  db.exec("DELETE FROM events WHERE seq > 20");
  assert.deepEqual(counts(), [8, 17]);
  insert(3);
  assert.equal(counter.count(10), true);
  assert.deepEqual(counts(), [18, 20]);
  assert.equal(counter.count(10), false);
  assert.deepEqual(counts(), [20, 20]);
  assert.equal(counter.count(10), false);
  db.exec("DELETE FROM events");
  assert.deepEqual(counts(), [0, 0]);
  insert(1);
  assert.deepEqual(counts(), [0, 1]);
  assert.equal(counter.count(10), false);
  assert.deepEqual(counts(), [1, 1]);
});
