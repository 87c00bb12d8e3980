/**
 * The writing side: many deliveries, one transaction, one sync.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { parseInstant } from "../../instant.ts";
import type {
  DeliveredEvent,
  DeliveredMessage,
  Delivery,
} from "../../message.ts";
import type { Inserted } from "../store.ts";
import { foldBeyondAscii } from "./fold.ts";
import { transaction } from "./transaction.ts";

/** Writes through the one connection that writes. */
export class Writer {
  readonly #db: DatabaseSync;
  readonly #insertMessage: StatementSync;
  readonly #insertEvent: StatementSync;
  readonly #countSender: StatementSync;
  readonly #countTotals: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    // The unique indexes settle duplicates. A look-up first would leave a gap in
    // which the same message arrives again.
    this.#insertMessage = db.prepare(
      `INSERT INTO messages
         (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, text_folded,
          type, contact_name, payload, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (message_id) DO NOTHING`,
    );
    this.#insertEvent = db.prepare(
      `INSERT INTO events
         (event_id, kind, message_id, ts, ts_ms, payload, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (event_id) DO NOTHING`,
    );
    this.#countSender = db.prepare(
      `INSERT INTO senders (from_msisdn, count) VALUES (?, ?)
       ON CONFLICT (from_msisdn) DO UPDATE SET count = count + excluded.count
       RETURNING count`,
    );
    this.#countTotals = db.prepare(
      "UPDATE totals SET messages = messages + ?, senders = senders + ?",
    );
  }

  /**
   * Stores a batch of deliveries, all of it or nothing.
   *
   * @returns For each delivery what was new. When it returns, all rows are on
   * disk.
   */
  insert(batch: readonly Delivery[]): Inserted[] {
    const createdAt = new Date().toISOString();
    return transaction(this.#db, "IMMEDIATE", () => {
      const newBySender = new Map<string, number>();
      const inserted = batch.map(({ messages, events }) => {
        const added = messages.filter((message) =>
          this.#addMessage(message, createdAt)
        );
        for (const { from } of added) {
          newBySender.set(from, (newBySender.get(from) ?? 0) + 1);
        }
        const newEvents = events.filter((event) =>
          this.#addEvent(event, createdAt)
        );
        return { newMessages: added.length, newEvents: newEvents.length };
      });
      this.#count(newBySender);
      return inserted;
    });
  }

  /** Keeps the figures that are read instead of counted. */
  #count(newBySender: ReadonlyMap<string, number>): void {
    let newMessages = 0;
    let newSenders = 0;
    for (const [from, added] of newBySender) {
      newMessages += added;
      const { count } = this.#countSender.get(from, added)!;
      if (count === added) newSenders++;
    }
    if (newMessages > 0) this.#countTotals.run(newMessages, newSenders);
  }

  #addMessage(message: DeliveredMessage, createdAt: string): boolean {
    const { text } = message;
    const { changes } = this.#insertMessage.run(
      message.message_id,
      message.from,
      message.to,
      message.ts,
      parseInstant(message.ts)!,
      text,
      text === null ? null : foldBeyondAscii(text),
      message.type,
      message.contact_name,
      message.payload,
      createdAt,
    );
    return changes === 1;
  }

  #addEvent(event: DeliveredEvent, createdAt: string): boolean {
    const { changes } = this.#insertEvent.run(
      event.event_id,
      event.kind,
      event.message_id,
      event.ts,
      parseInstant(event.ts)!,
      event.payload,
      createdAt,
    );
    return changes === 1;
  }
}
