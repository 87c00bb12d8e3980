/**
 * The reading side: lists and figures.
 *
 * @module
 */

import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Message } from "../../message.ts";
import {
  type EventFilter,
  type MessageDetails,
  type MessageFilter,
  type Page,
  type Stats,
  type StoredEvent,
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

  /** See `Store.listMessages()`. */
  listMessages(
    { from, sinceMs, q, type }: MessageFilter,
    limit: number,
    offset: number,
  ): Page<Message> {
    const isCounted = (sinceMs ?? q ?? type) !== undefined;
    const keptTotal = from === undefined
      ? "SELECT messages AS total FROM totals"
      : "SELECT count AS total FROM senders WHERE from_msisdn = ?";
    return this.#page<Message>(
      {
        table: "messages",
        columns: messageColumns,
        conditions: {
          "from_msisdn = ?": from,
          "ts_ms >= ?": sinceMs,
          "type = ?": type,
          // instr() has no wildcards to escape, unlike LIKE.
          "instr(coalesce(text_folded, lower(text)), ?) > 0": q === undefined
            ? undefined
            : fold(q),
        },
        order: ["ts_ms", "message_id"],
        totalSql: isCounted ? undefined : keptTotal,
      },
      limit,
      offset,
    );
  }

  /** See `Store.getMessage()`. */
  getMessage(messageId: string): MessageDetails | undefined {
    return transaction(this.#db, "DEFERRED", () => {
      const message = this.#db.prepare(
        `SELECT ${messageColumns}, type, contact_name,
                created_at AS received_at, payload
           FROM messages WHERE message_id = ?`,
      ).get(messageId) as MessageDetails["message"] | undefined;
      if (message === undefined) return undefined;
      const statuses = this.#all(
        `SELECT ts_ms, payload FROM events
          WHERE message_id = ? AND kind = 'status' ORDER BY seq`,
        messageId,
      ) as unknown as { ts_ms: number; payload: string }[];
      statuses.sort((a, b) =>
        a.ts_ms - b.ts_ms || statusRank(a.payload) - statusRank(b.payload)
      );
      return { message, statuses: statuses.map(({ payload }) => payload) };
    });
  }

  /** See `Store.listEvents()`. */
  listEvents(
    { kind, sinceMs, messageId }: EventFilter,
    limit: number,
    offset: number,
  ): Page<StoredEvent> {
    return this.#page<StoredEvent>(
      {
        table: "events",
        columns:
          "event_id, kind, message_id, ts, created_at AS received_at, payload",
        conditions: {
          "kind = ?": kind,
          "ts_ms >= ?": sinceMs,
          "message_id = ?": messageId,
        },
        order: ["ts_ms", "event_id"],
      },
      limit,
      offset,
    );
  }

  /** See `Store.stats()`. All figures are of the same moment. */
  stats(): Stats {
    return transaction(this.#db, "DEFERRED", () => {
      const { first_message_ts, last_message_ts, ...counts } = this.#get(
        `SELECT messages AS total_messages,
                senders AS senders_count,
                (SELECT ts FROM messages
                  ORDER BY ts_ms, message_id LIMIT 1) AS first_message_ts,
                (SELECT ts FROM messages
                  ORDER BY ts_ms DESC, message_id DESC LIMIT 1) AS last_message_ts
           FROM totals`,
      )!;
      const messages_per_sender = this.#all(
        `SELECT from_msisdn AS "from", count
           FROM senders ORDER BY count DESC, from_msisdn LIMIT 10`,
      );
      return {
        ...counts,
        messages_per_sender,
        first_message_ts,
        last_message_ts,
      } as unknown as Stats;
    });
  }

  /** A page and its total, of the same moment. */
  #page<Item>(
    { table, columns, conditions, order, totalSql }: ListQuery,
    limit: number,
    offset: number,
  ): Page<Item> {
    const given = Object.entries(conditions).filter(([, value]) =>
      value !== undefined
    );
    const where = given.length === 0
      ? ""
      : `WHERE ${given.map(([condition]) => condition).join(" AND ")}`;
    const values = given.map(([, value]) => value as SQLInputValue);
    return transaction(this.#db, "DEFERRED", () => {
      const total = Number(
        this.#get(
          totalSql ?? `SELECT count(*) AS total FROM ${table} ${where}`,
          ...values,
        )?.total ?? 0,
      );
      const size = Math.max(0, Math.min(limit, total - offset));
      // OFFSET steps over every row before the page: the nearer end is less far.
      const behind = total - offset - size;
      const fromEnd = behind < offset;
      const direction = fromEnd ? "DESC" : "ASC";
      const data = this.#all(
        `SELECT ${columns} FROM ${table} ${where}
          ORDER BY ${order.map((column) => `${column} ${direction}`).join(", ")}
          LIMIT ? OFFSET ?`,
        ...values,
        size,
        fromEnd ? behind : offset,
      ) as unknown as Item[];
      return { data: fromEnd ? data.reverse() : data, total };
    });
  }

  #all(sql: string, ...values: SQLInputValue[]) {
    return this.#db.prepare(sql).all(...values);
  }

  #get(sql: string, ...values: SQLInputValue[]) {
    return this.#db.prepare(sql).get(...values);
  }
}

/** A message's statuses in the order it goes through them. */
const statusOrder = ["sent", "delivered", "read", "played"];

/** Statuses of the same second arrive in any order. */
function statusRank(payload: string): number {
  const rank = statusOrder.indexOf(JSON.parse(payload).status);
  return rank < 0 ? statusOrder.length : rank;
}

const messageColumns =
  `message_id, from_msisdn AS "from", to_msisdn AS "to", ts, text`;

interface ListQuery {
  readonly table: string;
  readonly columns: string;
  /** Conditions with one value each; those without a value don't apply. */
  readonly conditions: Readonly<Record<string, SQLInputValue | undefined>>;
  readonly order: readonly string[];
  /** A query for the total where it need not be counted; it takes the same values. */
  readonly totalSql?: string;
}
