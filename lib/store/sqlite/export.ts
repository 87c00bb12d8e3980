/**
 * Everything that is stored, in the order it came.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";
import type { MessageDetails, StoredEvent } from "../store.ts";

/** A message or an event as it is stored. */
export type StoredRow = MessageDetails["message"] | StoredEvent;

/** How many rows, and how much of them, are read at a time. */
const maxPageRows = 1000;
const maxPageChars = 1 << 20;

const columns = {
  messages: `message_id, from_msisdn AS "from", to_msisdn AS "to", ts, text,
             type, contact_name, created_at AS received_at, payload`,
  events: "event_id, kind, message_id, ts, created_at AS received_at, payload",
} as const;

/** Which rows a page holds. */
export type Table = keyof typeof columns;

/** Some rows of one table. */
export interface Page {
  readonly table: Table;
  readonly rows: readonly StoredRow[];
}

/**
 * Reads all messages, then all events, that are there when it starts: each of
 * them once, whatever is stored meanwhile, but for what is deleted as too old
 * before its turn. Between two pages no transaction is
 * open, so that the server's log can be brought into the database file however
 * long it takes.
 *
 * @param sinceMs Only what happened at this instant or later.
 */
export function* storedRows(
  db: DatabaseSync,
  sinceMs: number | undefined,
): Generator<Page> {
  const last = db.prepare(
    `SELECT (SELECT max(seq) FROM messages) AS messages,
            (SELECT max(seq) FROM events) AS events`,
  ).get() as Record<Table, number | null>;
  for (const table of ["messages", "events"] as const) {
    const range = { sinceMs, lastSeq: last[table] ?? 0 };
    let seq: number | undefined = 0;
    while (seq !== undefined) {
      const rows: StoredRow[] = [];
      seq = readPage(db, table, { ...range, afterSeq: seq }, rows);
      if (rows.length > 0) yield { table, rows };
    }
  }
}

interface Range {
  readonly afterSeq: number;
  readonly lastSeq: number;
  readonly sinceMs: number | undefined;
}

/**
 * Adds the first rows of a range.
 *
 * @returns The number of the last one, or `undefined` if there was none.
 */
function readPage(
  db: DatabaseSync,
  table: Table,
  { afterSeq, lastSeq, sinceMs = Number.MIN_SAFE_INTEGER }: Range,
  rows: StoredRow[],
): number | undefined {
  // A new statement each time: Deno 2.4 gives nothing from one that was left early.
  const statement = db.prepare(
    `SELECT seq, ${columns[table]} FROM ${table}
      WHERE seq > ? AND seq <= ? AND ts_ms >= ?
      ORDER BY seq LIMIT ?`,
  );
  let last: number | undefined;
  let chars = 0;
  for (
    const { seq, ...row } of statement.iterate(
      afterSeq,
      lastSeq,
      sinceMs,
      maxPageRows,
    )
  ) {
    const stored = row as unknown as StoredRow;
    rows.push(stored);
    last = seq as number;
    chars += stored.payload?.length ?? 0;
    if (chars > maxPageChars) break;
  }
  return last;
}
