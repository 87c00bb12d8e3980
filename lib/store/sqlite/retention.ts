/**
 * The forgetting side: deletes what arrived too long ago, a little at a time.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { parseInstant } from "../../instant.ts";
import { Contribution } from "./contribution.ts";
import { transaction } from "./transaction.ts";

/** A step ends behind so much of the rows, however few they are. */
const maxStepBytes = 64 << 10;
/** Taking a text out of the index takes as long as freeing so much payload. */
const payloadPerText = 16;
/** A step that merges writes so many pages of the index anew: some 5 ms of work. */
const mergeStepPages = 16;

type Table = "messages" | "events";

interface Candidate {
  readonly seq: number;
  readonly created_at: string;
  readonly bytes: number;
}

/** What a step came to. */
export interface DeletionStep {
  readonly deletedRows: number;
  /** Whether the pass goes on. */
  readonly goesOn: boolean;
}

/** Where a pass begins: the table, and the row behind which it goes on. */
const start = { table: "messages" as Table, seq: 0 };

/**
 * Deletes through the one connection that writes: in passes over the rows in the
 * order they came, messages first, each pass in steps.
 *
 * What is old mostly comes first, so a pass is through with a table when a step
 * finds nothing old. Rows from the future, which came when the clock was wrong,
 * are passed by. Old rows that were imported behind newer ones are deleted when
 * those are.
 */
export class Retention {
  readonly #db: DatabaseSync;
  readonly #candidates: Readonly<Record<Table, StatementSync>>;
  readonly #delete: Readonly<Record<Table, StatementSync>>;
  readonly #contribution: Contribution;
  readonly #messageCount: StatementSync;
  readonly #merges: readonly StatementSync[];
  readonly #changeCount: StatementSync;
  #place = start;
  /** Which merges are to be done, and whether the first of them has begun. */
  #pendingMerges: readonly StatementSync[] = [];
  #isMerging = false;

  /** @param maxStepRows So many rows a step deletes at most, in some 10 ms. */
  constructor(db: DatabaseSync, maxStepRows = 256) {
    this.#db = db;
    this.#contribution = new Contribution(db, "out");
    // octet_length() doesn't read what it measures. What is not indexed yet can't
    // be taken out of the index.
    this.#candidates = {
      messages: db.prepare(
        `SELECT seq, created_at,
                coalesce(octet_length(text), 0) +
                coalesce(octet_length(payload), 0) / ${payloadPerText} AS bytes
           FROM messages
          WHERE seq > ? AND seq <= (SELECT indexed_seq FROM totals)
          ORDER BY seq LIMIT ${maxStepRows}`,
      ),
      events: db.prepare(
        `SELECT seq, created_at, octet_length(payload) / ${payloadPerText} AS bytes
           FROM events WHERE seq > ? ORDER BY seq LIMIT ${maxStepRows}`,
      ),
    };
    const deleteFrom = (table: Table) =>
      db.prepare(`DELETE FROM ${table} WHERE seq BETWEEN ? AND ?`);
    this.#delete = {
      messages: deleteFrom("messages"),
      events: deleteFrom("events"),
    };
    this.#messageCount = db.prepare("SELECT messages FROM totals");
    this.#merges = ["search", "sender_hours"].map((table) =>
      db.prepare(`INSERT INTO ${table} (${table}, rank) VALUES ('merge', ?)`)
    );
    this.#changeCount = db.prepare("SELECT total_changes() AS changes");
  }

  /**
   * Takes the next step of the pass, in a transaction of its own. The step after
   * the last one begins a new pass.
   *
   * @param oldestMs Rows that arrived before this instant are deleted.
   */
  step(oldestMs: number, nowMs = Date.now()): DeletionStep {
    if (this.#pendingMerges.length > 0) {
      this.#merge();
      return { deletedRows: 0, goesOn: true };
    }
    const { table, seq } = this.#place;
    const candidates = this.#candidates[table]
      .all(seq) as unknown as Candidate[];
    const old = oldRows(candidates, oldestMs);
    if (old.length > 0) {
      this.#deleteRows(table, old[0].seq, old.at(-1)!.seq);
      this.#place = { table, seq: old.at(-1)!.seq };
    } else if (
      candidates.length > 0 &&
      candidates.every(({ created_at }) => arrivedMs(created_at) > nowMs)
    ) {
      this.#place = { table, seq: candidates.at(-1)!.seq };
    } else {
      this.#place = table === "messages" ? { table: "events", seq: 0 } : start;
    }
    return { deletedRows: old.length, goesOn: this.#place !== start };
  }

  #deleteRows(table: Table, first: number, last: number): void {
    transaction(this.#db, "IMMEDIATE", () => {
      if (table === "messages") this.#contribution.count(first, last);
      this.#delete[table].run(first, last);
    });
    if (table === "events") return;
    const left = Number(this.#messageCount.get()!.messages);
    const interval = 2 ** Math.ceil(Math.log2(Math.max(left, 1)));
    if (Math.floor(last / interval) > Math.floor((first - 1) / interval)) {
      this.#pendingMerges = this.#merges;
    }
  }

  /**
   * FTS5 keeps a note of every deleted term, and what it was, until a merge of all
   * there is leaves both out. By themselves merges of all are the rarer, the more
   * was ever indexed, so after as many deletions as messages are left (counted by
   * their numbers, which no restart forgets) one is made, in steps:
   * https://sqlite.org/fts5.html#the_merge_command
   */
  #merge(): void {
    const [merge, ...others] = this.#pendingMerges;
    const before = this.#changes();
    merge.run(this.#isMerging ? mergeStepPages : -mergeStepPages);
    // With nothing left to merge only the command itself counts.
    this.#isMerging = this.#changes() - before > 1;
    if (!this.#isMerging) this.#pendingMerges = others;
  }

  #changes(): number {
    return Number(this.#changeCount.get()!.changes);
  }
}

/** The first old rows that follow each other, as many as a step may delete. */
function oldRows(
  candidates: readonly Candidate[],
  oldestMs: number,
): readonly Candidate[] {
  const isOld = ({ created_at }: Candidate) => arrivedMs(created_at) < oldestMs;
  const first = candidates.findIndex(isOld);
  if (first < 0) return [];
  let end = first;
  let bytes = 0;
  do bytes += candidates[end++].bytes; while (
    end < candidates.length && bytes < maxStepBytes && isOld(candidates[end])
  );
  return candidates.slice(first, end);
}

/** When a row arrived; never, if it doesn't say so. */
function arrivedMs(createdAt: string): number {
  return parseInstant(createdAt) ?? Infinity;
}
