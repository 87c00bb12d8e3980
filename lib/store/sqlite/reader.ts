/**
 * The reading side: lists and figures.
 *
 * @module
 */

import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Message } from "../../message.ts";
import {
  type MessageFilter,
  type Page,
  type Stats,
  StoreUnavailable,
} from "../store.ts";
import { fold } from "./fold.ts";
import { schemaVersion, versionOf } from "./schema.ts";
import { transaction } from "./transaction.ts";

/** Reads through a connection that never writes. */
export class Reader {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Throws unless the database answers and has this program's schema. */
  ping(): void {
    if (versionOf(this.#db) !== schemaVersion) {
      throw new StoreUnavailable("other", "its schema is not applied");
    }
  }

  /** See `Store.list()`. The page and the total are of the same moment. */
  list(filter: MessageFilter, limit: number, offset: number): Page {
    const { where, values } = whereClause(filter);
    return transaction(this.#db, "DEFERRED", () => ({
      data: this.#all(
        `SELECT message_id, from_msisdn AS "from", to_msisdn AS "to", ts, text
           FROM messages ${where}
          ORDER BY ts_ms, message_id LIMIT ? OFFSET ?`,
        ...values,
        limit,
        offset,
      ) as unknown as Message[],
      total: this.#get(
        `SELECT count(*) AS total FROM messages ${where}`,
        ...values,
      ).total as number,
    }));
  }

  /** See `Store.stats()`. All figures are of the same moment. */
  stats(): Stats {
    return transaction(this.#db, "DEFERRED", () => {
      const { first_message_ts, last_message_ts, ...counts } = this.#get(
        `SELECT count(*) AS total_messages,
                count(DISTINCT from_msisdn) AS senders_count,
                (SELECT ts FROM messages
                  ORDER BY ts_ms, message_id LIMIT 1) AS first_message_ts,
                (SELECT ts FROM messages
                  ORDER BY ts_ms DESC, message_id DESC LIMIT 1) AS last_message_ts
           FROM messages`,
      );
      const messages_per_sender = this.#all(
        `SELECT from_msisdn AS "from", count(*) AS count
           FROM messages
          GROUP BY from_msisdn
          ORDER BY count DESC, from_msisdn LIMIT 10`,
      );
      return {
        ...counts,
        messages_per_sender,
        first_message_ts,
        last_message_ts,
      } as unknown as Stats;
    });
  }

  #all(sql: string, ...values: SQLInputValue[]) {
    return this.#db.prepare(sql).all(...values);
  }

  #get(sql: string, ...values: SQLInputValue[]) {
    return this.#db.prepare(sql).get(...values)!;
  }
}

function whereClause({ from, sinceMs, q }: MessageFilter) {
  const conditions: string[] = [];
  const values: SQLInputValue[] = [];
  if (from !== undefined) {
    conditions.push("from_msisdn = ?");
    values.push(from);
  }
  if (sinceMs !== undefined) {
    conditions.push("ts_ms >= ?");
    values.push(sinceMs);
  }
  if (q !== undefined) {
    // instr() has no wildcards to escape, unlike LIKE.
    conditions.push("instr(coalesce(text_folded, lower(text)), ?) > 0");
    values.push(fold(q));
  }
  const where = conditions.length > 0
    ? `WHERE ${conditions.join(" AND ")}`
    : "";
  return { where, values };
}
