/**
 * The metrics of the store.
 *
 * @module
 */

import {
  durationBuckets,
  Histogram,
  type Metrics,
  Reading,
} from "./metrics.ts";
import type { Figures, Store } from "./store/store.ts";

const batchBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];

/** Adds the families of a store. */
export function addStoreMetrics(metrics: Metrics, store: Store): void {
  const batchRows = metrics.add(
    "store_batch_rows",
    new Histogram("Messages and events in one commit.", batchBuckets),
  );
  const commitDuration = metrics.add(
    "store_commit_duration_seconds",
    new Histogram(
      "Time from handing a batch to the writer to its being on disk.",
      durationBuckets,
    ),
  );
  let lastCommitMs: number | undefined;
  store.observeCommits(({ rows, durationMs }) => {
    batchRows.observe(rows);
    commitDuration.observe(durationMs / 1000);
    lastCommitMs = Date.now();
  });
  let figures: Figures = {};
  metrics.beforeText(async () => {
    figures = await store.figures();
  });
  const gauge = (
    name: string,
    help: string,
    read: () => number | undefined,
  ) => metrics.add(name, new Reading("gauge", help, read));
  gauge(
    "store_last_commit_timestamp_seconds",
    "When this process last committed, in seconds since the Unix epoch.",
    () => lastCommitMs && lastCommitMs / 1000,
  );
  gauge(
    "store_queue_rows",
    "Messages and events that wait for the next commit.",
    () => store.waitingRows,
  );
  gauge("store_messages", "Messages stored.", () => figures.messages);
  gauge("store_events", "Events stored.", () => figures.events);
  gauge(
    "store_database_bytes",
    "Size of the database file.",
    () => figures.databaseBytes,
  );
  gauge(
    "store_wal_bytes",
    "Size of the write-ahead log's file.",
    () => figures.walBytes,
  );
  gauge(
    "store_disk_free_bytes",
    "Free space on the database's disk.",
    () => figures.freeBytes,
  );
}
