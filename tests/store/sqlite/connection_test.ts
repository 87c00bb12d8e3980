import assert from "node:assert/strict";
import type { Delivery } from "../../../lib/message.ts";
import { StoreUnavailable } from "../../../lib/store/store.ts";
import { Connection } from "../../../lib/store/sqlite/connection.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import { TempDatabase } from "./temp_database.ts";

/** Seventy of these are more than a string can be. */
const payload = "x".repeat(8 << 20);

const delivery: Delivery = {
  messages: [],
  events: Array.from({ length: 70 }, (_, index) => ({
    event_id: `${index}`,
    kind: "unknown",
    message_id: null,
    ts: "2025-01-15T10:00:00Z",
    payload,
  })),
};

Deno.test("Connection refuses what is too long to cross, either way, and lives on", async () => {
  using temp = new TempDatabase();
  const db = temp.open();
  migrate(db);
  new Writer(db).insert([delivery]);
  const crashes: StoreUnavailable[] = [];
  const connection = new Connection((error) => crashes.push(error));
  try {
    await connection.call("open", temp.path, "writer");
    const tooLarge = { reason: "too_large" };
    await assert.rejects(connection.call("insert", [delivery]), tooLarge);
    await assert.rejects(connection.call("listEvents", {}, 100, 0), tooLarge);
    const { total, data } = await connection.call("listEvents", {}, 1, 0);
    assert.deepEqual([total, data.length], [70, 1]);
    assert.deepEqual(crashes, []);
  } finally {
    connection.terminate(new StoreUnavailable("closing"));
  }
});
