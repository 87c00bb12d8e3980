/**
 * What messages contribute to the index: counted in when they are indexed, and
 * out before they are deleted.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { foldedText } from "./fold.ts";
import { countGrams } from "./grams.ts";
import { dayMs, minuteMs, startOf } from "./periods.ts";
import { indexedText } from "./search.ts";
import { senderHour } from "./sender_hours.ts";

/** The messages that are counted, by the numbers of the first and the last one. */
const some = "messages WHERE seq BETWEEN :first AND :last";

/** Counts messages in or out; the caller brings the transaction. */
export class Contribution {
  /**
   * Each takes the numbers of the first and the last message, by name: Deno 2.4
   * binds no parameters with numbers.
   */
  readonly #statements: readonly StatementSync[];
  readonly #texts: StatementSync;
  /** Each takes a gram, and in how many of the messages it is. */
  readonly #gramStatements: readonly StatementSync[];

  constructor(db: DatabaseSync, direction: "in" | "out") {
    const isIn = direction === "in";
    const sign = isIn ? "+" : "-";
    const changePeriods = (lengthMs: number) => [
      `INSERT INTO periods
         SELECT ${lengthMs}, ${startOf(lengthMs).text} AS start_ms,
                ${sign} count(*)
           FROM ${some} GROUP BY start_ms
         ON CONFLICT DO UPDATE SET messages = messages + excluded.messages`,
      ...(isIn ? [] : [
        `DELETE FROM periods
          WHERE length_ms = ${lengthMs} AND messages = 0
            AND start_ms IN (SELECT ${startOf(lengthMs).text} FROM ${some})`,
      ]),
    ];
    // FTS5 forgets a row when it is told what it was told before:
    // https://sqlite.org/fts5.html#the_delete_command
    const changeTerms = (table: string, column: string, value: string) =>
      isIn
        ? `INSERT INTO ${table} (rowid, ${column}) SELECT seq, ${value} FROM ${some}`
        : `INSERT INTO ${table} (${table}, rowid, ${column})
             SELECT 'delete', seq, ${value} FROM ${some}`;
    this.#statements = [
      `INSERT INTO senders
         SELECT from_msisdn, ${sign} count(*) FROM ${some} GROUP BY from_msisdn
         ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      // A sender with no other messages has come, or goes.
      `UPDATE totals SET
         messages = messages ${sign} (SELECT count(*) FROM ${some}),
         senders = senders ${sign} (
           SELECT count(*)
             FROM (SELECT from_msisdn, count(*) AS counted
                     FROM ${some} GROUP BY from_msisdn)
                  CROSS JOIN senders USING (from_msisdn)
            WHERE count = ${isIn ? "counted" : "0"})`,
      ...(isIn ? [] : [
        `DELETE FROM senders
          WHERE count = 0 AND from_msisdn IN (SELECT from_msisdn FROM ${some})`,
      ]),
      changeTerms("sender_hours", "term", senderHour.text),
      ...changePeriods(minuteMs),
      ...changePeriods(dayMs),
      `${changeTerms("search", "text", indexedText.text)} AND text IS NOT NULL`,
    ].map((sql) => db.prepare(sql));
    this.#texts = db.prepare(
      `SELECT seq, coalesce(${foldedText.text}, '') AS text
         FROM ${some} ORDER BY seq`,
    );
    this.#gramStatements = [
      `INSERT INTO grams VALUES (?, ${sign} ?)
       ON CONFLICT DO UPDATE SET messages = messages + excluded.messages`,
      ...(isIn ? [] : ["DELETE FROM grams WHERE gram = ? AND messages = 0"]),
    ].map((sql) => db.prepare(sql));
  }

  /**
   * Counts the messages between two numbers, both included.
   *
   * @param maxGrams Behind a message with which there are more different grams
   * beyond ASCII, it ends.
   * @returns How many were counted, up to which number.
   */
  count(
    firstSeq: number,
    lastSeq: number,
    maxGrams = Infinity,
  ): { messages: number; lastSeq: number } {
    const rows = this.#texts.all({ first: firstSeq, last: lastSeq });
    const { grams, size } = countGrams(
      rows.map(({ text }) => text as string),
      maxGrams,
    );
    const end = size < rows.length ? rows[size - 1].seq as number : lastSeq;
    const range = { first: firstSeq, last: end };
    for (const statement of this.#statements) statement.run(range);
    const [change, drop] = this.#gramStatements;
    for (const [gram, messages] of grams) {
      change.run(gram, messages);
      drop?.run(gram);
    }
    return { messages: size, lastSeq: end };
  }
}
