/**
 * The writing side: many messages, one transaction, one sync.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { parseInstant } from "../../instant.ts";
import type { Message } from "../../message.ts";
import { foldBeyondAscii } from "./fold.ts";
import { transaction } from "./transaction.ts";

/** Writes through the one connection that writes. */
export class Writer {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    // The unique index settles duplicates. A look-up first would leave a gap in
    // which the same message arrives again.
    this.#insert = db.prepare(
      `INSERT INTO messages
         (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, text_folded, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (message_id) DO NOTHING`,
    );
  }

  /**
   * Stores a batch, all of it or nothing.
   *
   * @returns For each message whether it is a new row. When it returns, the rows
   * are on disk.
   */
  insert(batch: readonly Message[]): boolean[] {
    const createdAt = new Date().toISOString();
    return transaction(
      this.#db,
      "IMMEDIATE",
      () => batch.map((message) => this.#insertOne(message, createdAt)),
    );
  }

  #insertOne({ message_id, from, to, ts, text }: Message, createdAt: string) {
    const { changes } = this.#insert.run(
      message_id,
      from,
      to,
      ts,
      parseInstant(ts)!,
      text,
      text === null ? null : foldBeyondAscii(text),
      createdAt,
    );
    return changes === 1;
  }
}
