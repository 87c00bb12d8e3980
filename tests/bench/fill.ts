/**
 * The project's writer without the server: to fill a database of any size, and
 * to see how fast it is alone.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import type { Delivery } from "../../lib/message.ts";
import { Indexer } from "../../lib/store/sqlite/indexer.ts";
import { migrate } from "../../lib/store/sqlite/schema.ts";
import { Writer } from "../../lib/store/sqlite/writer.ts";
import { percentile } from "./compare.ts";
import { deliveryAt } from "./data.ts";
import { progress } from "./report.ts";
import type { Answers } from "./wrk.ts";

const rowsPerTransaction = 5000;
/** Large steps index the same messages with fewer writes. */
const rowsPerIndexStep = 100_000;
const fillingCacheKib = 256 << 10;
/** The same pages of an index are changed again and again: write them less often. */
const pagesPerCheckpoint = 32_000;

/** As in the server's worker. */
const serverCacheKib = 64 << 10;
const rowsPerCheckpoint = 4000;

/**
 * Adds the messages from number `from` to below number `to` to a database, which
 * is made if there is none. Nothing is synced before the end: all is on disk when
 * it returns, and perhaps nothing if it is stopped.
 */
export async function fill(
  path: string,
  from: number,
  to: number,
): Promise<void> {
  const db = new DatabaseSync(path);
  db.exec(
    `PRAGMA journal_mode = WAL;
     PRAGMA synchronous = OFF;
     PRAGMA cache_size = -${fillingCacheKib};
     PRAGMA temp_store = MEMORY;
     PRAGMA wal_autocheckpoint = ${pagesPerCheckpoint}`,
  );
  migrate(db);
  const writer = new Writer(db);
  const indexer = new Indexer(db);
  for (let n = from; n < to; n += rowsPerTransaction) {
    writer.insert(deliveries(n, Math.min(n + rowsPerTransaction, to)));
    if ((n - from) % rowsPerIndexStep === 0) {
      while (indexer.index(rowsPerIndexStep).hasMore);
    }
    progress(`${Math.floor(n / to * 100)}%`);
    // A signal to stop gets its turn.
    await delay(0);
  }
  while (indexer.index(rowsPerIndexStep).hasMore);
  db.exec("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
}

/**
 * Stores messages with nothing else to do: in batches, each of them synced. The
 * checkpoints, which the server leaves to another thread, don't count.
 *
 * @returns Rows a second, and how long the batches took.
 */
export async function sqliteAlone(
  rowsPerBatch: number,
  seconds: number,
): Promise<Answers> {
  const dir = await Deno.makeTempDir();
  const db = new DatabaseSync(`${dir}/app.db`);
  db.exec(
    `PRAGMA journal_mode = WAL;
     PRAGMA synchronous = FULL;
     PRAGMA cache_size = -${serverCacheKib};
     PRAGMA wal_autocheckpoint = 0`,
  );
  migrate(db);
  const writer = new Writer(db);
  const batchesMs: number[] = [];
  let rows = 0;
  let workMs = 0;
  while (workMs < seconds * 1000) {
    const batch = deliveries(rows, rows + rowsPerBatch);
    const startMs = performance.now();
    writer.insert(batch);
    const batchMs = performance.now() - startMs;
    batchesMs.push(batchMs);
    workMs += batchMs;
    rows += rowsPerBatch;
    if (rows % rowsPerCheckpoint < rowsPerBatch) {
      db.exec("PRAGMA wal_checkpoint(PASSIVE)");
    }
  }
  db.close();
  await Deno.remove(dir, { recursive: true });
  return {
    count: rows,
    perSecond: rows / workMs * 1000,
    p50Ms: percentile(batchesMs, 50),
    p99Ms: percentile(batchesMs, 99),
  };
}

function deliveries(from: number, to: number): Delivery[] {
  return Array.from({ length: to - from }, (_, i) => deliveryAt(from + i));
}
