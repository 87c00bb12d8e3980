/**
 * The indexing side: brings what reads need besides the messages up to them.
 *
 * In the transactions that add messages this would cost more than the messages do,
 * since each one changes pages all over it. Here many are indexed at once and in
 * order, so that a page is written once for all of them; a read adds the few that
 * are not indexed yet.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { Contribution } from "./contribution.ts";
import { transaction } from "./transaction.ts";

/**
 * A step ends behind so much text, and behind the message that brings so many
 * different grams beyond ASCII, however few messages it is: 0.1 s of work.
 */
const maxStepBytes = 1 << 20;
const maxStepGrams = 1 << 14;

/** What a step came to. */
export interface Step {
  /** How many messages it indexed. */
  readonly messages: number;
  readonly hasMore: boolean;
}

/** Indexes through the one connection that writes. */
export class Indexer {
  readonly #db: DatabaseSync;
  readonly #nextStep: StatementSync;
  readonly #contribution: Contribution;
  readonly #setIndexed: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    // octet_length() reads no text: it is known before it.
    this.#nextStep = db.prepare(
      `SELECT min(seq) AS first, max(seq) AS last,
              (SELECT max(seq) FROM messages) AS newest
         FROM (SELECT seq, sum(bytes) OVER (
                        ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING
                                              AND 1 PRECEDING) AS bytes_before
                 FROM (SELECT seq, octet_length(text) AS bytes FROM messages
                        WHERE seq > (SELECT indexed_seq FROM totals)
                        ORDER BY seq LIMIT ?))
        WHERE coalesce(bytes_before, 0) < ${maxStepBytes}`,
    );
    this.#contribution = new Contribution(db, "in");
    this.#setIndexed = db.prepare("UPDATE totals SET indexed_seq = ?");
  }

  /**
   * Indexes the next messages, at most so many, in a transaction of its own.
   */
  index(maxMessages: number): Step {
    // Mostly there is nothing to do: that takes no lock.
    const nothing = { messages: 0, hasMore: false };
    if (this.#nextStep.get(1)!.last === null) return nothing;
    return transaction(this.#db, "IMMEDIATE", () => {
      // Under the lock, since another process may have indexed these meanwhile.
      const { first, last, newest } = this.#nextStep.get(maxMessages)!;
      if (last === null) return nothing;
      const { messages, lastSeq } = this.#contribution.count(
        first as number,
        last as number,
        maxStepGrams,
      );
      this.#setIndexed.run(lastSeq);
      return { messages, hasMore: lastSeq !== newest };
    });
  }
}
