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
  readonly #findMessage: StatementSync;
  readonly #findEvent: StatementSync;
  readonly #insertMessage: StatementSync;
  readonly #insertEvent: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    // The unique indexes settle duplicates. A look-up first, under the same write
    // lock, saves what an insert that ends in a conflict still writes: the sequence
    // of AUTOINCREMENT, and with it a sync.
    this.#findMessage = db.prepare(
      "SELECT 1 FROM messages WHERE message_id = ?",
    );
    this.#findEvent = db.prepare("SELECT 1 FROM events WHERE event_id = ?");
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
  }

  /**
   * Stores a batch of deliveries, all of it or nothing.
   *
   * @returns For each delivery what was new. When it returns, all rows are on
   * disk.
   */
  insert(batch: readonly Delivery[]): Inserted[] {
    const now = new Date().toISOString();
    return transaction(
      this.#db,
      "IMMEDIATE",
      () =>
        batch.map(({ messages, events, receivedAt = now }) => {
          let newMessages = 0;
          let newEvents = 0;
          for (const message of messages) {
            newMessages += this.#addMessage(message, receivedAt);
          }
          for (const event of events) {
            newEvents += this.#addEvent(event, receivedAt);
          }
          return { newMessages, newEvents };
        }),
    );
  }

  /** @returns How many rows that added: 1 or 0. */
  #addMessage(message: DeliveredMessage, createdAt: string): number {
    if (this.#findMessage.get(message.message_id) !== undefined) return 0;
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
    return Number(changes);
  }

  /** @returns How many rows that added: 1 or 0. */
  #addEvent(event: DeliveredEvent, createdAt: string): number {
    if (this.#findEvent.get(event.event_id) !== undefined) return 0;
    const { changes } = this.#insertEvent.run(
      event.event_id,
      event.kind,
      event.message_id,
      event.ts,
      parseInstant(event.ts)!,
      event.payload,
      createdAt,
    );
    return Number(changes);
  }
}
