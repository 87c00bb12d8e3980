/**
 * The reading side: lists and figures.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";
import type { Message } from "../../message.ts";
import {
  type EventFilter,
  type Figures,
  type MessageDetails,
  type MessageFilter,
  type Page,
  type Stats,
  type StoredEvent,
  StoreUnavailable,
} from "../store.ts";
import {
  messageList,
  MessagePages,
  newMessages,
  type SearchLimits,
} from "./message_pages.ts";
import { type List, Queries } from "./queries.ts";
import { schemaVersion, versionOf } from "./schema.ts";
import { type Sql, sql, where } from "./sql.ts";
import { transaction } from "./transaction.ts";

/**
 * So many new rows are counted in a few milliseconds. There are more of them only
 * while those of an older version's database are indexed.
 */
const maxCounted = 50_000;

/**
 * Reads through a connection that never writes. The index covers the messages up
 * to a number; every read adds the new ones behind it.
 */
export class Reader {
  readonly #db: DatabaseSync;
  readonly #queries: Queries;
  readonly #messagePages: MessagePages;

  /** @param limits Each that is absent has the value that the service uses. */
  constructor(db: DatabaseSync, limits?: Partial<SearchLimits>) {
    this.#db = db;
    this.#queries = new Queries(db);
    this.#messagePages = new MessagePages(this.#queries, limits);
  }

  /** Throws unless the database answers and has this program's schema. */
  ping(): void {
    if (versionOf(this.#db) !== schemaVersion) {
      throw new StoreUnavailable("other", "its schema is not applied");
    }
  }

  /** See `Store.listMessages()`. */
  listMessages(
    filter: MessageFilter,
    limit: number,
    offset: number,
  ): Page<Message> {
    return this.#atOnce((isNew) =>
      this.#messagePages.page(isNew, filter, limit, offset)
    );
  }

  /** See `Store.getMessage()`. */
  getMessage(messageId: string): MessageDetails | undefined {
    return transaction(this.#db, "DEFERRED", () => {
      const [message] = this.#queries.all<MessageDetails["message"]>(
        sql`SELECT ${messageList.columns}, type, contact_name,
                   created_at AS received_at, payload
              FROM messages WHERE message_id = ${messageId}`,
      );
      if (message === undefined) return undefined;
      const statuses = this.#queries.all<{ ts_ms: number; payload: string }>(
        sql`SELECT ts_ms, payload FROM events
             WHERE message_id = ${messageId} AND kind = 'status' ORDER BY seq`,
      );
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
    return transaction(this.#db, "DEFERRED", () => {
      const matching = sql`SELECT seq, ts_ms, event_id FROM events ${
        where(
          kind === undefined ? undefined : sql`kind = ${kind}`,
          sinceMs === undefined ? undefined : sql`ts_ms >= ${sinceMs}`,
          messageId === undefined ? undefined : sql`message_id = ${messageId}`,
        )
      }`;
      const total = this.#queries.count(matching);
      return this.#queries.page<StoredEvent>(
        eventList,
        matching,
        total,
        limit,
        offset,
      );
    });
  }

  /** See `Store.stats()`. All figures are of the same moment. */
  stats(): Stats {
    return this.#atOnce((isNew) => {
      const added = sql`SELECT from_msisdn, count(*) AS count
                          FROM ${newMessages} WHERE ${isNew} GROUP BY from_msisdn`;
      const isAdded = sql`from_msisdn IN (SELECT from_msisdn FROM added)`;
      const [counts] = this.#queries.all<
        Pick<Stats, "total_messages" | "senders_count">
      >(
        sql`WITH added AS MATERIALIZED (${added})
            SELECT messages + (SELECT coalesce(sum(count), 0) FROM added)
                     AS total_messages,
                   senders + (SELECT count(*) FROM added)
                     - (SELECT count(*) FROM senders WHERE ${isAdded})
                     AS senders_count
              FROM totals`,
      );
      // A sender whose count did not change is among the first of those indexed.
      const messages_per_sender = this.#queries.all<
        Stats["messages_per_sender"][number]
      >(
        sql`WITH added AS MATERIALIZED (${added})
            SELECT from_msisdn AS "from", sum(count) AS count FROM (
              SELECT * FROM added
              UNION ALL SELECT * FROM senders WHERE ${isAdded}
              UNION ALL SELECT * FROM (
                SELECT * FROM senders WHERE NOT ${isAdded}
                 ORDER BY count DESC, from_msisdn LIMIT 10)
            ) GROUP BY from_msisdn ORDER BY 2 DESC, 1 LIMIT 10`,
      );
      const [{ first_message_ts, last_message_ts }] = this.#queries.all<
        Pick<Stats, "first_message_ts" | "last_message_ts">
      >(
        sql`SELECT (SELECT ts FROM messages
                     ORDER BY ts_ms, message_id LIMIT 1) AS first_message_ts,
                   (SELECT ts FROM messages
                     ORDER BY ts_ms DESC, message_id DESC LIMIT 1)
                     AS last_message_ts`,
      );
      return {
        ...counts,
        messages_per_sender,
        first_message_ts,
        last_message_ts,
      };
    });
  }

  /** See `Store.figures()`: those that take no time, however many rows there are. */
  figures(): Figures {
    return transaction(this.#db, "DEFERRED", () => ({
      messages: this.#keptCount(sql`messages`, sql`indexed_seq`),
      events: this.#keptCount(sql`events`, sql`counted_event_seq`),
    }));
  }

  /** The kept count of a table's rows up to a number, and the few behind it. */
  #keptCount(table: Sql, countedSeq: Sql): number | undefined {
    const added = this.#queries.number(
      sql`SELECT count(*) FROM (
            SELECT 1 FROM ${table} NOT INDEXED
             WHERE seq > (SELECT ${countedSeq} FROM totals)
             LIMIT ${maxCounted})`,
    );
    if (added === maxCounted) return undefined;
    return added + this.#queries.number(sql`SELECT ${table} FROM totals`);
  }

  /**
   * Does some reading at one moment of the database.
   *
   * @param work Gets the condition for messages that are not indexed.
   */
  #atOnce<Result>(work: (isNew: Sql) => Result): Result {
    return transaction(this.#db, "DEFERRED", () => {
      const indexedSeq = this.#queries.number(
        sql`SELECT indexed_seq FROM totals`,
      );
      return work(sql`seq > ${indexedSeq}`);
    });
  }
}

/** A message's statuses in the order it goes through them. */
const statusOrder = ["sent", "delivered", "read", "played"];

/** Statuses of the same second arrive in any order. */
function statusRank(payload: string): number {
  const rank = statusOrder.indexOf(JSON.parse(payload).status);
  return rank < 0 ? statusOrder.length : rank;
}

const eventList: List = {
  table: sql`events`,
  key: sql`event_id`,
  columns:
    sql`event_id, kind, message_id, ts, created_at AS received_at, payload`,
};
