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
import { foldedText } from "./fold.ts";
import { countGrams } from "./grams.ts";
import { dayMs, minuteMs, startOf } from "./periods.ts";
import { indexedText } from "./search.ts";
import { senderHour } from "./sender_hours.ts";
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
  readonly #texts: StatementSync;
  /** Each takes the numbers of the step's first and last message. */
  readonly #derive: readonly StatementSync[];
  readonly #addGram: StatementSync;

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
    const step = "messages WHERE seq BETWEEN ?1 AND ?2";
    this.#texts = db.prepare(
      `SELECT seq, coalesce(${foldedText.text}, '') AS text
         FROM ${step} ORDER BY seq`,
    );
    const addPeriods = (lengthMs: number) =>
      `INSERT INTO periods
         SELECT ${lengthMs}, ${startOf(lengthMs).text} AS start_ms, count(*)
           FROM ${step} GROUP BY start_ms
         ON CONFLICT DO UPDATE SET messages = messages + excluded.messages`;
    this.#derive = [
      // Before the senders themselves: which of them are new?
      `UPDATE totals SET
         messages = messages + (SELECT count(*) FROM ${step}),
         senders = senders + (
           SELECT count(DISTINCT from_msisdn) FROM ${step}
              AND from_msisdn NOT IN (SELECT from_msisdn FROM senders)),
         indexed_seq = ?2`,
      `INSERT INTO senders
         SELECT from_msisdn, count(*) FROM ${step} GROUP BY from_msisdn
         ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      `INSERT INTO sender_hours (rowid, term)
         SELECT seq, ${senderHour.text} FROM ${step}`,
      addPeriods(minuteMs),
      addPeriods(dayMs),
      `INSERT INTO search (rowid, text)
         SELECT seq, ${indexedText.text} FROM ${step} AND text IS NOT NULL`,
    ].map((sql) => db.prepare(sql));
    this.#addGram = db.prepare(
      `INSERT INTO grams VALUES (?, ?)
       ON CONFLICT DO UPDATE SET messages = messages + excluded.messages`,
    );
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
      const rows = this.#texts.all(first, last);
      const { grams, size } = countGrams(
        rows.map(({ text }) => text as string),
        maxStepGrams,
      );
      const { seq: end } = rows[size - 1];
      for (const statement of this.#derive) statement.run(first, end);
      for (const [gram, messages] of grams) this.#addGram.run(gram, messages);
      return { messages: size, hasMore: end !== newest };
    });
  }
}
