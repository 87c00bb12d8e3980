/**
 * The kept count of events, for figures that no scan of the table could give
 * soon enough.
 *
 * Like the messages' index it is brought up to them behind the transactions that
 * add them, and the few behind it are counted by those who read it. Deleted events
 * a trigger takes out again.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";

/** Counts through the one connection that writes. */
export class EventCounter {
  readonly #hasMore: StatementSync;
  readonly #count: StatementSync;

  constructor(db: DatabaseSync) {
    this.#hasMore = db.prepare(
      `SELECT (SELECT max(seq) FROM events) > counted_event_seq AS has_more
         FROM totals`,
    );
    this.#count = db.prepare(
      `UPDATE totals SET (events, counted_event_seq) = (
         SELECT totals.events + count(*),
                coalesce(max(seq), totals.counted_event_seq)
           FROM (SELECT seq FROM events WHERE seq > totals.counted_event_seq
                  ORDER BY seq LIMIT ?))`,
    );
  }

  /**
   * Counts the next events, at most so many.
   *
   * @returns Whether there are more.
   */
  count(maxEvents: number): boolean {
    // Mostly there is nothing to do: that takes no lock.
    if (!this.#hasUncounted()) return false;
    this.#count.run(maxEvents);
    return this.#hasUncounted();
  }

  #hasUncounted(): boolean {
    return this.#hasMore.get()!.has_more === 1;
  }
}
