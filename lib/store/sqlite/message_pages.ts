/**
 * Pages of messages.
 *
 * @module
 */

import type { Message } from "../../message.ts";
import type { MessageFilter, Page } from "../store.ts";
import { foldedText } from "./fold.ts";
import {
  dayMs,
  locate,
  minuteMs,
  type Period,
  startOf,
  sumOf,
} from "./periods.ts";
import type { List, Queries } from "./queries.ts";
import { type Search, searchFor } from "./search.ts";
import { senderHour, termsFrom } from "./sender_hours.ts";
import { type Sql, sql, where } from "./sql.ts";

/** For what is not indexed: no index is to be tried. */
export const newMessages = sql`messages NOT INDEXED`;

/** Messages in their order, by instant, then by id. */
export const messageList: List = {
  table: sql`messages`,
  key: sql`message_id`,
  columns: sql`message_id, from_msisdn AS "from", to_msisdn AS "to", ts, text`,
};

/** How much is looked at for a search before another way is taken. */
export interface SearchLimits {
  /**
   * So many messages that the index finds are looked up and sorted, which takes
   * some 100 ms; if it finds more, messages are read in order until the page is
   * full.
   */
  readonly maxSorted: number;
  /**
   * So many messages that may be hits are looked at, which takes a few
   * milliseconds; if they are more, the index is asked for the hits.
   */
  readonly maxCandidates: number;
}

/**
 * Finds pages of messages. Each is of one moment: asked for in a transaction, with
 * the condition for those messages that are not indexed.
 */
export class MessagePages {
  readonly #queries: Queries;
  readonly #maxSorted: number;
  readonly #maxCandidates: number;

  constructor(
    queries: Queries,
    { maxSorted = 50_000, maxCandidates = 1000 }: Partial<SearchLimits> = {},
  ) {
    this.#queries = queries;
    this.#maxSorted = maxSorted;
    this.#maxCandidates = maxCandidates;
  }

  /** The messages that a filter lets through. */
  page(
    isNew: Sql,
    filter: MessageFilter,
    limit: number,
    offset: number,
  ): Page<Message> {
    const { from, sinceMs, q, type } = filter;
    if (q !== undefined || type !== undefined) {
      return this.#pageOfMatching(isNew, filter, limit, offset);
    }
    return from === undefined
      ? this.#pageOfAll(isNew, sinceMs, limit, offset)
      : this.#pageOfSender(isNew, from, sinceMs, limit, offset);
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
    const among = (seqs: Sql) =>
      sql`SELECT seq, ts_ms, message_id
            FROM (${seqs}) CROSS JOIN messages USING (seq)
           ${where(...others, holds)}
          UNION ALL ${newOnes}`;
    const scan = sql`SELECT seq, ts_ms, message_id FROM messages
                      ${where(...others, holds)}`;
    const candidates = this.#fewCandidates(search);
    let matching: Sql;
    let total: number;
    if (
      candidates === undefined && search?.hits !== undefined &&
      (from ?? sinceMs ?? type) === undefined
    ) {
      total = this.#hitCount(search.hits, search.count) +
        this.#queries.count(newOnes);
      matching = this.#isDense(total, limit, offset)
        ? scan
        : among(search.hits);
    } else {
      const few = candidates ?? this.#fewHits(search) ?? this.#fewFrom(from);
      matching = few === undefined ? scan : among(few);
      total = this.#queries.count(matching);
    }
    return this.#queries.page(messageList, matching, total, limit, offset);
  }

  /**
   * Whether hits are so many that a page of them is found sooner by reading
   * messages in order than by looking all hits up. Only far sooner counts: the
   * hits may all be at the other end.
   */
  #isDense(hits: number, limit: number, offset: number): boolean {
    const all = this.#queries.number(sql`SELECT messages FROM totals`);
    const pageEnd = Math.min(offset, Math.max(0, hits - offset)) + limit;
    return hits > this.#maxSorted || 16 * pageEnd * all / hits < hits;
  }

  /** What gives the `seq` of all that a search may hit, if they are very few. */
  #fewCandidates(search: Search | undefined): Sql | undefined {
    if (search?.candidates === undefined) return undefined;
    const seqs = this.#queries.all<{ seq: number }>(
      sql`${search.candidates} LIMIT ${this.#maxCandidates + 1}`,
    ).map(({ seq }) => seq);
    return seqs.length <= this.#maxCandidates
      ? sql`SELECT value AS seq FROM json_each(${JSON.stringify(seqs)})`
      : undefined;
  }

  /** What gives the `seq` of all that a search hits, or may hit, if they are few. */
  #fewHits(search: Search | undefined): Sql | undefined {
    const hits = search?.hits ?? search?.candidates;
    if (hits === undefined) return undefined;
    const count = this.#hitCount(hits, search?.count, this.#maxSorted + 1);
    return count <= this.#maxSorted ? hits : undefined;
  }

  /** What gives the `seq` of a sender's indexed messages, if they are few. */
  #fewFrom(from: string | undefined): Sql | undefined {
    if (from === undefined) return undefined;
    const count = this.#queries.number(
      sql`SELECT count FROM senders WHERE from_msisdn = ${from}`,
    );
    return count <= this.#maxSorted ? ofHours(...termsFrom(from)) : undefined;
  }

  /** How many hits there are; if they have to be counted, up to `max` of them. */
  #hitCount(
    hits: Sql,
    count: Sql | undefined,
    max = Number.MAX_SAFE_INTEGER,
  ): number {
    return this.#queries.number(
      count ?? sql`SELECT count(*) FROM (${hits} LIMIT ${max})`,
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
    const early = sinceMs === undefined ? 0 : this.#queries.number(
      sql`SELECT count(*) FROM (${within(first, first)})
             WHERE ts_ms < ${sinceMs}`,
    );
    const indexedCount = sinceMs === undefined
      ? sql`SELECT count FROM senders WHERE from_msisdn = ${from}`
      : sql`SELECT coalesce(sum(doc), 0) FROM sender_hour_counts
             WHERE term BETWEEN ${first} AND ${last}`;
    const total = this.#queries.number(indexedCount) - early +
      this.#queries.number(
        sql`SELECT count(*) FROM ${newMessages}
           WHERE ${isNewOfSender} AND ${senderHour} >= ${first}`,
      );
    if (offset >= total) return { data: [], total };
    const size = Math.min(limit, total - offset);
    const startIndex = early + offset;
    const endIndex = startIndex + size - 1;
    // The new ones may come before some of the indexed ones, not the other way.
    const hours = this.#queries.all<Period<string>>(
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
    const data = this.#queries.read<Message>(
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
    const data = this.#queries.read<Message>(
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
    return this.#queries.all(
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
    return this.#queries.number(
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
}

/** What gives the `seq` of the indexed messages between two terms. */
function ofHours(first: string, last: string): Sql {
  return sql`SELECT doc AS seq FROM sender_hour_terms
              WHERE term BETWEEN ${first} AND ${last}`;
}
