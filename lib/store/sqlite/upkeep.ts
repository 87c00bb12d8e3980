/**
 * What the writer does besides storing: it indexes, deletes what is old, and
 * brings the log back into the database file.
 *
 * @module
 */

import type { StoreUnavailable } from "../store.ts";
import type { Connection } from "./connection.ts";
import { dayMs } from "./periods.ts";
import type { SearchQueue } from "./search_queue.ts";

/** When so many rows are not indexed, each commit is followed by a step: 20 ms. */
const maxUnindexed = 1024;
/** So many are indexed at once: more than came since the last time, to catch up. */
const indexStepRows = 2 * maxUnindexed;
/**
 * A step is due so often anyway (what another process stored is found that way),
 * and when idle it is looked so often for something to delete.
 */
const stepIntervalMs = 1000;
/**
 * When nothing else is to do there is at least this between two steps, or as long
 * as the last one took: other processes look for the lock every 100 ms or less.
 */
const minStepPauseMs = 30;
/**
 * After so much the log is written back. A row adds some pages to it besides its
 * payload, and a step of indexing or deleting some for each of its rows.
 */
const checkpointChars = 32 << 20;
const logCharsPerRow = 8 << 10;
const logCharsPerStep = 2 << 20;
/** How often old rows are deleted and the tables' shapes are looked at. */
const passIntervalMs = 3_600_000;
/** Deleting gets this part of the writer's time while deliveries never pause. */
const deletionShare = 1 / 4;
/** How long after a failure the next step is tried. */
const deletionRetryMs = 1000;

/** What a commit brought. */
export interface CommittedBatch {
  /** Messages and events, repeats too. */
  readonly rows: number;
  readonly newRows: number;
  readonly payloadChars: number;
}

/** Takes small steps between two commits, and more of them when there are none. */
export class Upkeep {
  readonly #searches: SearchQueue;
  /** Rows that arrived longer ago are deleted. */
  readonly #retentionMs: number;
  readonly #isCommitting: () => boolean;
  readonly #onDeleted: (rows: number) => void;
  readonly #onFailure: (problem: StoreUnavailable) => void;
  /** There is one from `start()` to `stop()`. */
  #writer?: Connection;
  #checkpointer?: Connection;
  #stepTimer?: ReturnType<typeof setTimeout>;
  #passTimer?: ReturnType<typeof setInterval>;
  /** How many rows of its own are not indexed, at most. */
  #unindexed = 0;
  #isDeleting = false;
  #deletedInPass = 0;
  /** When the next step of deleting may begin, on the clock of `performance`. */
  #nextDeletionMs = 0;
  #isCheckpointing = false;
  #charsSinceCheckpoint = 0;

  /**
   * @param retentionDays Rows that arrived longer ago are deleted.
   * @param onDeleted Told after a pass how many rows it deleted, if any.
   * @param onFailure Told why a step failed, unless another process had the lock.
   */
  constructor(
    searches: SearchQueue,
    retentionDays: number,
    isCommitting: () => boolean,
    onDeleted: (rows: number) => void,
    onFailure: (problem: StoreUnavailable) => void,
  ) {
    this.#searches = searches;
    this.#retentionMs = retentionDays * dayMs;
    this.#isCommitting = isCommitting;
    this.#onDeleted = onDeleted;
    this.#onFailure = onFailure;
  }

  /** Begins with connections that were just opened. */
  start(writer: Connection, checkpointer: Connection | undefined): void {
    this.#writer = writer;
    this.#checkpointer = checkpointer;
    this.#beginPass();
    this.#passTimer = setInterval(() => this.#beginPass(), passIntervalMs);
    this.#stepLater(stepIntervalMs);
  }

  /** Asks nothing more of the connections. */
  stop(): void {
    clearTimeout(this.#stepTimer);
    clearInterval(this.#passTimer);
    this.#writer = this.#checkpointer = undefined;
  }

  /** Indexes, deletes and starts a checkpoint when it is time for them. */
  async afterCommit(
    { rows, newRows, payloadChars }: CommittedBatch,
  ): Promise<void> {
    this.#addToLog(rows * logCharsPerRow + payloadChars);
    this.#unindexed += newRows;
    if (this.#unindexed >= maxUnindexed) await this.#index();
    if (performance.now() >= this.#nextDeletionMs) await this.#deleteOld();
  }

  /** @returns Whether there is more to index. */
  async #index(): Promise<boolean> {
    const step = await this.#ask((writer) =>
      writer.call("index", indexStepRows)
    );
    // What was not indexed a later step indexes.
    this.#unindexed = step?.hasMore
      ? Math.max(0, this.#unindexed - step.messages)
      : 0;
    if (step === undefined) return false;
    this.#addToLog(step.messages * logCharsPerRow);
    return step.hasMore;
  }

  /**
   * Takes a step of the pass that deletes old rows, if there is one.
   *
   * @returns Whether there may be more to delete.
   */
  async #deleteOld(): Promise<boolean> {
    if (!this.#isDeleting) return false;
    const startMs = performance.now();
    const step = await this.#ask((writer) =>
      writer.call("deleteOld", Date.now() - this.#retentionMs)
    );
    const endMs = performance.now();
    if (step === undefined) {
      this.#nextDeletionMs = endMs + deletionRetryMs;
      return false;
    }
    this.#isDeleting = step.goesOn;
    this.#deletedInPass += step.deletedRows;
    if (!step.goesOn && this.#deletedInPass > 0) {
      this.#onDeleted(this.#deletedInPass);
      this.#deletedInPass = 0;
    }
    this.#addToLog(logCharsPerStep);
    this.#nextDeletionMs = endMs + (endMs - startMs) * (1 / deletionShare - 1);
    return step.goesOn;
  }

  /** @returns What the writer answers; nothing if there is none, or it fails. */
  async #ask<T>(
    ask: (writer: Connection) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return this.#writer && await ask(this.#writer);
    } catch (error) {
      // A step doesn't wait for a lock: that another process has it is no failure.
      const problem = error as StoreUnavailable;
      if (problem.reason !== "locked") this.#onFailure(problem);
      return undefined;
    }
  }

  #stepLater(delayMs: number): void {
    this.#stepTimer = setTimeout(() => this.#stepOnTime(), delayMs);
  }

  /** A delivery that arrives meanwhile waits for one step at most. */
  async #stepOnTime(): Promise<void> {
    const writer = this.#writer;
    const startMs = performance.now();
    const hasMore = await this.#index() ||
      !this.#isCommitting() && await this.#deleteOld();
    if (this.#writer !== writer) return;
    const tookMs = performance.now() - startMs;
    this.#stepLater(
      hasMore && !this.#isCommitting()
        ? Math.max(minStepPauseMs, tookMs)
        : stepIntervalMs,
    );
  }

  #beginPass(): void {
    this.#isDeleting = this.#retentionMs < Infinity;
    // Plans are good without it.
    this.#writer?.call("optimize").catch(() => {});
  }

  /** Starts a checkpoint when there is enough in the log for it. */
  #addToLog(chars: number): void {
    this.#charsSinceCheckpoint += chars;
    if (this.#charsSinceCheckpoint >= checkpointChars) this.#checkpoint();
  }

  /**
   * Keeps the log short. SQLite starts it over when all of it is in the database
   * file and nobody reads it; under constant load that is never so when a
   * checkpoint beside the writer ends, so the writer itself does the last, small
   * part. Searches without a gap would keep it from that as well: when the log has
   * become long, the next ones wait for it.
   */
  async #checkpoint(): Promise<void> {
    if (this.#isCheckpointing) return;
    this.#isCheckpointing = true;
    this.#charsSinceCheckpoint = 0;
    try {
      const isTooLong = await this.#checkpointer?.call("checkpoint");
      if (isTooLong) {
        await this.#searches.between(async () => {
          await this.#checkpointer?.call("checkpoint");
          await this.#writer?.call("restartLog");
        });
      } else {
        await this.#checkpointer?.call("checkpoint");
        await this.#writer?.call("checkpoint");
      }
    } catch {
      // The next checkpoint does its work.
    }
    this.#isCheckpointing = false;
  }
}
