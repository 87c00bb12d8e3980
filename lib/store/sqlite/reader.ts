/**
 * The reading side: lists and figures.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
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
import { foldedText } from "./fold.ts";
import {
  dayMs,
  locate,
  minuteMs,
  type Period,
  startOf,
  sumOf,
} from "./periods.ts";
import { schemaVersion, versionOf } from "./schema.ts";
import { type Search, searchFor } from "./search.ts";
import { senderHour, termsFrom } from "./sender_hours.ts";
import { raw, type Sql, sql, where } from "./sql.ts";
import { transaction } from "./transaction.ts";

/** For what is not indexed: no index is to be tried. */
const newMessages = sql`messages NOT INDEXED`;

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
  readonly #maxSorted: number;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * @param maxSorted So many messages that the index finds are looked up and
   * sorted, which takes some 100 ms; if it finds more, messages are read in order
   * until the page is full.
   */
  constructor(db: DatabaseSync, maxSorted = 50_000) {
    this.#db = db;
    this.#maxSorted = maxSorted;
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
    const { from, sinceMs, q, type } = filter;
    return this.#atOnce((isNew) => {
      if (q !== undefined || type !== undefined) {
        return this.#pageOfMatching(isNew, filter, limit, offset);
      }
      return from === undefined
        ? this.#pageOfAll(isNew, sinceMs, limit, offset)
        : this.#pageOfSender(isNew, from, sinceMs, limit, offset);
    });
  }

  /** See `Store.getMessage()`. */
  getMessage(messageId: string): MessageDetails | undefined {
    return transaction(this.#db, "DEFERRED", () => {
      const [message] = this.#all<MessageDetails["message"]>(
        sql`SELECT ${messageList.columns}, type, contact_name,
                   created_at AS received_at, payload
              FROM messages WHERE message_id = ${messageId}`,
      );
      if (message === undefined) return undefined;
      const statuses = this.#all<{ ts_ms: number; payload: string }>(
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
      const total = this.#count(matching);
      return this.#page<StoredEvent>(eventList, matching, total, limit, offset);
    });
  }

  /** See `Store.stats()`. All figures are of the same moment. */
  stats(): Stats {
    return this.#atOnce((isNew) => {
      const added = sql`SELECT from_msisdn, count(*) AS count
                          FROM ${newMessages} WHERE ${isNew} GROUP BY from_msisdn`;
      const isAdded = sql`from_msisdn IN (SELECT from_msisdn FROM added)`;
      const [counts] = this.#all<
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
      const messages_per_sender = this.#all<
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
      const [{ first_message_ts, last_message_ts }] = this.#all<
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
    const added = this.#number(
      sql`SELECT count(*) FROM (
            SELECT 1 FROM ${table} NOT INDEXED
             WHERE seq > (SELECT ${countedSeq} FROM totals)
             LIMIT ${maxCounted})`,
    );
    if (added === maxCounted) return undefined;
    return added + this.#number(sql`SELECT ${table} FROM totals`);
  }

  /**
   * Does some reading at one moment of the database.
   *
   * @param work Gets the condition for messages that are not indexed.
   */
  #atOnce<Result>(work: (isNew: Sql) => Result): Result {
    return transaction(this.#db, "DEFERRED", () => {
      const indexedSeq = this.#number(sql`SELECT indexed_seq FROM totals`);
      return work(sql`seq > ${indexedSeq}`);
    });
  }

  #pageOfMatching(
    isNew: Sql,
    { from, sinceMs, q, type }: MessageFilter,
    limit: number,
    offset: number,
  ): Page<Message> {
    const search = q === undefined ? undefined : searchFor(q);
    const others = [
      from === undefined ? undefined : sql`from_msisdn = ${from}`,
      sinceMs === undefined ? undefined : sql`ts_ms >= ${sinceMs}`,
      type === undefined ? undefined : sql`type = ${type}`,
    ];
    // instr() has no wildcards to escape, unlike LIKE.
    const holds = search && sql`instr(${foldedText}, ${search.folded}) > 0`;
    const newOnes = sql`SELECT seq, ts_ms, message_id FROM ${newMessages}
                        ${where(isNew, ...others, holds)}`;
    const among = (seqs: Sql, holds?: Sql) =>
      sql`SELECT seq, ts_ms, message_id
            FROM (${seqs}) CROSS JOIN messages USING (seq)
           ${where(...others, holds)}
          UNION ALL ${newOnes}`;
    const scan = sql`SELECT seq, ts_ms, message_id FROM messages
                      ${where(...others, holds)}`;
    if (search?.hits !== undefined && (from ?? sinceMs ?? type) === undefined) {
      const total = this.#hitCount(search) + this.#count(newOnes);
      const matching = this.#isDense(total, limit, offset)
        ? scan
        : among(search.hits);
      return this.#page<Message>(messageList, matching, total, limit, offset);
    }
    const fewHits = this.#fewHits(search);
    const fewFrom = fewHits === undefined ? this.#fewFrom(from) : undefined;
    const matching = fewHits
      ? among(fewHits)
      : fewFrom
      ? among(fewFrom, holds)
      : scan;
    const total = this.#count(matching);
    return this.#page<Message>(messageList, matching, total, limit, offset);
  }

  /**
   * Whether hits are so many that a page of them is found sooner by reading
   * messages in order than by looking all hits up. Only far sooner counts: the
   * hits may all be at the other end.
   */
  #isDense(hits: number, limit: number, offset: number): boolean {
    const all = this.#number(sql`SELECT messages FROM totals`);
    const pageEnd = Math.min(offset, Math.max(0, hits - offset)) + limit;
    return hits > this.#maxSorted || 16 * pageEnd * all / hits < hits;
  }

  /** What gives the `seq` of all hits of a search, if they are few. */
  #fewHits(search: Search | undefined): Sql | undefined {
    if (search?.hits === undefined) return undefined;
    return this.#hitCount(search, this.#maxSorted + 1) <= this.#maxSorted
      ? search.hits
      : undefined;
  }

  /** What gives the `seq` of a sender's indexed messages, if they are few. */
  #fewFrom(from: string | undefined): Sql | undefined {
    if (from === undefined) return undefined;
    const count = this.#number(
      sql`SELECT count FROM senders WHERE from_msisdn = ${from}`,
    );
    return count <= this.#maxSorted ? ofHours(...termsFrom(from)) : undefined;
  }

  /** How many hits there are; if they have to be counted, up to `max` of them. */
  #hitCount({ hits, count }: Search, max = Number.MAX_SAFE_INTEGER): number {
    return this.#number(
      count ?? sql`SELECT count(*) FROM (${hits!} LIMIT ${max})`,
    );
  }

  #pageOfSender(
    isNew: Sql,
    from: string,
    sinceMs: number | undefined,
    limit: number,
    offset: number,
  ): Page<Message> {
    const [first, last] = termsFrom(from, sinceMs);
    const isNewOfSender = sql`${isNew} AND from_msisdn = ${from}`;
    const within = (first: string, last: string) =>
      sql`SELECT seq, ts_ms, message_id
            FROM (${ofHours(first, last)}) CROSS JOIN messages USING (seq)
          UNION ALL
          SELECT seq, ts_ms, message_id FROM ${newMessages}
           WHERE ${isNewOfSender}
             AND ${senderHour} BETWEEN ${first} AND ${last}`;
    // The first hour may begin before the instant.
    const early = sinceMs === undefined ? 0 : this.#number(
      sql`SELECT count(*) FROM (${within(first, first)})
             WHERE ts_ms < ${sinceMs}`,
    );
    const indexedCount = sinceMs === undefined
      ? sql`SELECT count FROM senders WHERE from_msisdn = ${from}`
      : sql`SELECT count(*) FROM (${ofHours(first, last)})`;
    const total = this.#number(indexedCount) - early + this.#number(
      sql`SELECT count(*) FROM ${newMessages}
           WHERE ${isNewOfSender} AND ${senderHour} >= ${first}`,
    );
    if (offset >= total) return { data: [], total };
    const size = Math.min(limit, total - offset);
    const startIndex = early + offset;
    const endIndex = startIndex + size - 1;
    // The new ones may come before some of the indexed ones, not the other way.
    const hours = this.#all<Period<string>>(
      sql`SELECT key, count(*) AS messages
            FROM (SELECT * FROM (
                    SELECT term AS key FROM sender_hour_terms
                     WHERE term BETWEEN ${first} AND ${last}
                     ORDER BY term LIMIT ${endIndex + 1})
                  UNION ALL
                  SELECT ${senderHour} FROM ${newMessages}
                   WHERE ${isNewOfSender} AND ${senderHour} >= ${first})
           GROUP BY key ORDER BY key`,
    );
    const start = locate(hours, startIndex)!;
    const end = locate(hours, endIndex)!;
    const data = this.#read<Message>(
      messageList,
      within(start.key, end.key),
      "ASC",
      size,
      start.index,
    );
    return { data, total };
  }

  /**
   * A page of all messages, or of those since an instant: the counts of days and
   * minutes tell the total, and in which minute the page begins.
   */
  #pageOfAll(
    isNew: Sql,
    sinceMs: number | undefined,
    limit: number,
    offset: number,
  ): Page<Message> {
    const days = this.#periods(isNew, dayMs);
    const all = sumOf(days);
    const total = sinceMs === undefined
      ? all
      : this.#countSince(isNew, sinceMs);
    if (offset >= total) return { data: [], total };
    const day = locate(days, all - total + offset)!;
    const minute = locate(
      this.#periods(isNew, minuteMs, day.key, day.key + dayMs),
      day.index,
    )!;
    const data = this.#read<Message>(
      messageList,
      sql`SELECT seq, ts_ms, message_id FROM messages
           WHERE ts_ms >= ${minute.key}`,
      "ASC",
      limit,
      minute.index,
    );
    return { data, total };
  }

  /** All periods of a length that begin between two instants and have messages. */
  #periods(
    isNew: Sql,
    lengthMs: number,
    fromMs = Number.MIN_SAFE_INTEGER,
    toMs = Number.MAX_SAFE_INTEGER,
  ): Period<number>[] {
    return this.#all(
      sql`SELECT key, sum(messages) AS messages
            FROM (SELECT start_ms AS key, messages FROM periods
                   WHERE length_ms = ${lengthMs}
                     AND start_ms >= ${fromMs} AND start_ms < ${toMs}
                  UNION ALL
                  SELECT ${startOf(lengthMs)}, 1 FROM ${newMessages}
                   WHERE ${isNew} AND ts_ms >= ${fromMs} AND ts_ms < ${toMs})
           GROUP BY key ORDER BY key`,
    );
  }

  /** How many messages there are from an instant on. */
  #countSince(isNew: Sql, sinceMs: number): number {
    const nextDay = (Math.floor(sinceMs / dayMs) + 1) * dayMs;
    const nextMinute = (Math.floor(sinceMs / minuteMs) + 1) * minuteMs;
    return this.#number(
      sql`SELECT (SELECT coalesce(sum(messages), 0) FROM periods
                   WHERE length_ms = ${dayMs} AND start_ms >= ${nextDay})
               + (SELECT coalesce(sum(messages), 0) FROM periods
                   WHERE length_ms = ${minuteMs}
                     AND start_ms >= ${nextMinute} AND start_ms < ${nextDay})
               + (SELECT count(*) FROM ${newMessages}
                   WHERE ${isNew} AND ts_ms >= ${nextMinute})
               + (SELECT count(*) FROM messages
                   WHERE ts_ms >= ${sinceMs} AND ts_ms < ${nextMinute})`,
    );
  }

  /** A page of what a query gives the keys of, read from the nearer end. */
  #page<Item>(
    list: List,
    matching: Sql,
    total: number,
    limit: number,
    offset: number,
  ): Page<Item> {
    const size = Math.max(0, Math.min(limit, total - offset));
    // OFFSET steps over every row before the page.
    const behind = total - offset - size;
    const data = behind < offset
      ? this.#read<Item>(list, matching, "DESC", size, behind)
      : this.#read<Item>(list, matching, "ASC", size, offset);
    return { data, total };
  }

  /**
   * Some of what a query gives the keys of, in order.
   *
   * @param direction From which end `offset` counts.
   */
  #read<Item>(
    { table, key, columns }: List,
    matching: Sql,
    direction: "ASC" | "DESC",
    limit: number,
    offset: number,
  ): Item[] {
    return this.#all<Item>(
      sql`SELECT ${columns}
            FROM (${matching}
                  ORDER BY ts_ms ${raw(direction)}, ${key} ${raw(direction)}
                  LIMIT ${limit} OFFSET ${offset})
                 CROSS JOIN ${table} USING (seq, ts_ms, ${key})
           ORDER BY ts_ms, ${key}`,
    );
  }

  #count(matching: Sql): number {
    return this.#number(sql`SELECT count(*) FROM (${matching})`);
  }

  /** The first column of the first row, or 0 if there is none. */
  #number(query: Sql): number {
    const [row] = this.#all<Record<string, number>>(query);
    return row === undefined ? 0 : Object.values(row)[0];
  }

  #all<Row>({ text, values }: Sql): Row[] {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement.all(...values) as Row[];
  }
}

/** A message's statuses in the order it goes through them. */
const statusOrder = ["sent", "delivered", "read", "played"];

/** Statuses of the same second arrive in any order. */
function statusRank(payload: string): number {
  const rank = statusOrder.indexOf(JSON.parse(payload).status);
  return rank < 0 ? statusOrder.length : rank;
}

/** What gives the `seq` of the indexed messages between two terms. */
function ofHours(first: string, last: string): Sql {
  return sql`SELECT doc AS seq FROM sender_hour_terms
              WHERE term BETWEEN ${first} AND ${last}`;
}

/** A table that is listed by instant, then by a key. */
interface List {
  readonly table: Sql;
  readonly key: Sql;
  readonly columns: Sql;
}

const messageList: List = {
  table: sql`messages`,
  key: sql`message_id`,
  columns: sql`message_id, from_msisdn AS "from", to_msisdn AS "to", ts, text`,
};

const eventList: List = {
  table: sql`events`,
  key: sql`event_id`,
  columns:
    sql`event_id, kind, message_id, ts, created_at AS received_at, payload`,
};
