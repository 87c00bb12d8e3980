/**
 * What a server has stored.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Indexer } from "../../lib/store/sqlite/indexer.ts";

/** The ids that are stored, and indexed as they should be. */
export function storedIds(path: string): Set<string> {
  const db = new DatabaseSync(path);
  try {
    assert.equal(
      db.prepare("PRAGMA integrity_check").get()!.integrity_check,
      "ok",
    );
    const indexer = new Indexer(db);
    while (indexer.index(10_000).hasMore);
    const [indexed, counted] = [
      `SELECT messages, senders,
              (SELECT sum(count) FROM senders) AS of_senders,
              (SELECT sum(messages) FROM periods) / 2 AS of_periods,
              (SELECT count(*) FROM sender_hour_terms) AS of_hours
         FROM totals`,
      `SELECT count(*) AS messages, count(DISTINCT from_msisdn) AS senders,
              count(*) AS of_senders, count(*) AS of_periods,
              count(*) AS of_hours
         FROM messages`,
    ].map((sql) => db.prepare(sql).get());
    assert.deepEqual(indexed, counted);
    const rows = db.prepare("SELECT message_id FROM messages").all();
    return new Set(rows.map(({ message_id }) => message_id as string));
  } finally {
    db.close();
  }
}
