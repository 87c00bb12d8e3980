import assert from "node:assert/strict";
import { SqliteStore } from "../../../lib/store/sqlite/sqlite.ts";
import { message } from "../../harness.ts";

const megabyte = 1 << 20;

Deno.test("SqliteStore.insert() keeps the log bounded when deliveries never pause", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  const opened = Promise.withResolvers<void>();
  const store = new SqliteStore(
    path,
    (problem) => problem === null ? opened.resolve() : opened.reject(problem),
  );
  await opened.promise;
  // Without checkpoints the log would take what all of this takes: 240 MB.
  const payload = "x".repeat(megabyte);
  const deliver = () =>
    store.insert({
      messages: [{
        ...message(),
        type: "image",
        contact_name: null,
        payload,
      }],
      events: [],
    });
  const waiting = Array.from({ length: 8 }, deliver);
  for (let delivered = 8; delivered < 240; delivered++) {
    await waiting.shift();
    waiting.push(deliver());
  }
  await Promise.all(waiting);
  const { size } = await Deno.stat(`${path}-wal`);
  assert(size < 160 * megabyte, `${size} bytes`);
  await store.close();
  await Deno.remove(dir, { recursive: true });
});
