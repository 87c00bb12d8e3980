/**
 * The store in SQLite: a connection that writes, two that read, and the list of
 * deliveries that wait for the next commit.
 *
 * @module
 */

import type { Delivery, Message } from "../../message.ts";
import {
  type Commit,
  type EventFilter,
  type Figures,
  type Inserted,
  type MessageDetails,
  type MessageFilter,
  type Page,
  type Stats,
  type Store,
  type StoredEvent,
  StoreUnavailable,
} from "../store.ts";
import { Connection } from "./connection.ts";
import { sizes } from "./disk.ts";
import { dayMs } from "./periods.ts";
import type { Role } from "./worker.ts";

interface Waiting {
  readonly delivery: Delivery;
  readonly rows: number;
  readonly payloadChars: number;
  resolve(inserted: Inserted): void;
  reject(error: StoreUnavailable): void;
}

/** How much may wait for a commit; past either bound, `queue_full`. */
export const maxWaitingRows = 10_000;
const maxWaitingPayloadChars = 64 << 20;
/** How many rows one transaction takes, or one delivery: about 50 ms of work. */
const maxBatchRows = 2_000;
/** And how much of payloads: it crosses to the worker as one string. */
const maxBatchPayloadChars = 8 << 20;
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
/** A log that is longer could not be started over lately, for reads without a gap. */
const maxLogBytes = 128 << 20;
/** How often old rows are deleted and the tables' shapes are looked at. */
const upkeepIntervalMs = 3_600_000;
/** Deleting gets this part of the writer's time while deliveries never pause. */
const deletionShare = 1 / 4;
/** How long after a failure the next step is tried. */
const deletionRetryMs = 1000;
/** How long after a failed attempt the database is tried again. */
const reopenDelayMs = 1000;
/** How long `ping()` and `figures()` wait for an answer. */
const soonMs = 2000;

/**
 * Messages in a SQLite database, which is opened in the background and, if that
 * fails, tried again until it opens. Until then every call rejects with the
 * reason.
 */
export class SqliteStore implements Store {
  readonly #path: string;
  readonly #onState: (problem: StoreUnavailable | null) => void;
  #onCommit: (commit: Commit) => void = () => {};
  readonly #minFreeDiskBytes: number;
  /** Every worker that runs, in the order they were started. */
  readonly #connections: Connection[] = [];
  #writer?: Connection;
  #reader?: Connection;
  /** For what may read many rows: what it would hold up has a connection of its own. */
  #searcher?: Connection;
  /** Syncs the database file beside the writer; none for a database in memory. */
  #checkpointer?: Connection;
  #isCheckpointing = false;
  #charsSinceCheckpoint = 0;
  /** How many rows of its own are not indexed, at most. */
  #unindexed = 0;
  /** The last search, and the one that is being done. */
  #lastSearch: Promise<unknown> = Promise.resolve();
  #currentSearch: Promise<unknown> = Promise.resolve();
  /** Pending while no search may begin. */
  #searchPause?: Promise<void>;
  /** Rows that arrived longer ago are deleted. */
  readonly #retentionMs: number;
  #isDeleting = false;
  /** When the next step of deleting may begin, on the clock of `performance`. */
  #nextDeletionMs = 0;
  #stepTimer?: ReturnType<typeof setTimeout>;
  readonly #upkeepTimer = setInterval(() => this.#upkeep(), upkeepIntervalMs);
  /** Why the store can't be used, or `null` when it can. */
  #problem: StoreUnavailable | null = new StoreUnavailable("opening");
  /** Why the last write failed, while reads still work; `null` after one that didn't. */
  #writeProblem: StoreUnavailable | null = null;
  #toldProblem = this.#problem;
  #closing = false;
  #reopenTimer?: ReturnType<typeof setTimeout>;
  #waiting: Waiting[] = [];
  #waitingRows = 0;
  #waitingPayloadChars = 0;
  #committing = false;
  #onDrained?: () => void;

  /**
   * @param path The database file, or `:memory:`.
   * @param onState Told whenever the store becomes usable (`null`), or unusable
   * for another reason than before.
   * @param options.retentionDays Rows that arrived longer ago are deleted.
   * @param options.minFreeDiskBytes With less free on the disk `ping()` rejects.
   */
  constructor(
    path: string,
    onState: (problem: StoreUnavailable | null) => void,
    { retentionDays = Infinity, minFreeDiskBytes = 0 } = {},
  ) {
    this.#path = path;
    this.#onState = onState;
    this.#retentionMs = retentionDays * dayMs;
    this.#minFreeDiskBytes = minFreeDiskBytes;
    this.#open();
    this.#stepLater(stepIntervalMs);
  }

  get waitingRows(): number {
    return this.#waitingRows;
  }

  observeCommits(observer: (commit: Commit) => void): void {
    this.#onCommit = observer;
  }

  insert(delivery: Delivery): Promise<Inserted> {
    return new Promise((resolve, reject) => {
      if (this.#problem !== null) return reject(this.#problem);
      const { messages, events } = delivery;
      const rows = messages.length + events.length;
      let payloadChars = 0;
      for (const { payload } of messages) payloadChars += payload?.length ?? 0;
      for (const { payload } of events) payloadChars += payload.length;
      if (
        this.#waitingRows >= maxWaitingRows ||
        this.#waitingPayloadChars >= maxWaitingPayloadChars
      ) return reject(new StoreUnavailable("queue_full"));
      this.#waiting.push({ delivery, rows, payloadChars, resolve, reject });
      this.#waitingRows += rows;
      this.#waitingPayloadChars += payloadChars;
      this.#commitNext();
    });
  }

  async listMessages(
    filter: MessageFilter,
    limit: number,
    offset: number,
  ): Promise<Page<Message>> {
    const list = (connection: Connection | undefined) =>
      this.#usable(connection).call("listMessages", filter, limit, offset);
    const isCheap = (filter.q ?? filter.type) === undefined;
    return await (isCheap
      ? list(this.#reader)
      : this.#search(() => list(this.#searcher)));
  }

  async getMessage(messageId: string): Promise<MessageDetails | undefined> {
    return await this.#usable(this.#reader).call("getMessage", messageId);
  }

  async listEvents(
    filter: EventFilter,
    limit: number,
    offset: number,
  ): Promise<Page<StoredEvent>> {
    return await this.#search(() =>
      this.#usable(this.#searcher).call("listEvents", filter, limit, offset)
    );
  }

  async stats(): Promise<Stats> {
    return await this.#usable(this.#reader).call("stats");
  }

  async figures(): Promise<Figures> {
    const counts = this.#soon((connection) => connection.call("figures"));
    return {
      ...await counts.catch(() => undefined),
      ...sizes(this.#path),
    };
  }

  async ping(): Promise<void> {
    try {
      await this.#soon((connection) =>
        connection.call("ping", this.#minFreeDiskBytes)
      );
      if (this.#writeProblem !== null) throw this.#writeProblem;
    } catch (error) {
      this.#reopenIfReplaced(error as StoreUnavailable);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#reopenTimer);
    clearTimeout(this.#stepTimer);
    clearInterval(this.#upkeepTimer);
    if (this.#committing) {
      await new Promise<void>((resolve) => this.#onDrained = resolve);
    }
    this.#problem = new StoreUnavailable("closing");
    // The writer last, as the first one that was opened: the last connection to
    // leave writes the log back into the database file.
    for (const connection of this.#connections.reverse()) {
      await connection.call("close").catch(() => {});
      connection.terminate(this.#problem);
    }
  }

  /** Everything that waits goes into one transaction, with one sync. */
  async #commitNext(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    // What arrives during a commit joins the next one.
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      const startMs = performance.now();
      try {
        const inserted = await this.#usable(this.#writer).call(
          "insert",
          batch.map(({ delivery }) => delivery),
        );
        batch.forEach(({ resolve }, index) => resolve(inserted[index]));
        if (this.#writeProblem !== null) this.#setWriteProblem(null);
        this.#onCommit({
          rows: batch.reduce((sum, { rows }) => sum + rows, 0),
          durationMs: performance.now() - startMs,
        });
        await this.#keepUp(batch, inserted);
      } catch (error) {
        // What came meanwhile fails with it: it has waited as long, and a second
        // attempt would make it wait for another timeout.
        const failed = [...batch, ...this.#waiting.splice(0)];
        this.#waitingRows = this.#waitingPayloadChars = 0;
        for (const { reject } of failed) reject(error as StoreUnavailable);
        this.#onWriteFailed(error as StoreUnavailable);
      }
    }
    this.#committing = false;
    this.#onDrained?.();
  }

  /** Has one search follow the other, so that none begins during a pause. */
  #search<T>(search: () => Promise<T>): Promise<T> {
    const result = this.#lastSearch.then(async () => {
      if (this.#searchPause !== undefined) await this.#searchPause;
      const result = search();
      this.#currentSearch = result;
      return await result;
    });
    this.#lastSearch = result.catch(() => {});
    return result;
  }

  /** Indexes, deletes and starts a checkpoint when it is time for them. */
  async #keepUp(
    batch: readonly Waiting[],
    inserted: readonly Inserted[],
  ): Promise<void> {
    let logChars = 0;
    for (const { rows, payloadChars } of batch) {
      logChars += rows * logCharsPerRow + payloadChars;
    }
    this.#addToLog(logChars);
    for (const { newMessages, newEvents } of inserted) {
      this.#unindexed += newMessages + newEvents;
    }
    if (this.#unindexed >= maxUnindexed) await this.#index();
    if (performance.now() >= this.#nextDeletionMs) await this.#deleteOld();
  }

  /** @returns Whether there is more to index. */
  async #index(): Promise<boolean> {
    try {
      const { messages, hasMore } = await this.#writer!.call(
        "index",
        indexStepRows,
      );
      this.#unindexed = hasMore ? Math.max(0, this.#unindexed - messages) : 0;
      this.#addToLog(messages * logCharsPerRow);
      return hasMore;
    } catch (error) {
      // What was not indexed a later step indexes.
      this.#unindexed = 0;
      this.#onStepFailed(error as StoreUnavailable);
      return false;
    }
  }

  /**
   * Takes a step of the pass that deletes old rows, if there is one.
   *
   * @returns Whether there may be more to delete.
   */
  async #deleteOld(): Promise<boolean> {
    if (!this.#isDeleting) return false;
    const startMs = performance.now();
    try {
      this.#isDeleting = await this.#writer!.call(
        "deleteOld",
        Date.now() - this.#retentionMs,
      );
      this.#addToLog(logCharsPerStep);
      const endMs = performance.now();
      this.#nextDeletionMs = endMs +
        (endMs - startMs) * (1 / deletionShare - 1);
      return this.#isDeleting;
    } catch (error) {
      this.#onStepFailed(error as StoreUnavailable);
      this.#nextDeletionMs = startMs + deletionRetryMs;
      return false;
    }
  }

  #stepLater(delayMs: number): void {
    this.#stepTimer = setTimeout(() => this.#stepOnTime(), delayMs);
  }

  /** A delivery that arrives meanwhile waits for one step at most. */
  async #stepOnTime(): Promise<void> {
    const startMs = performance.now();
    if (this.#writeProblem !== null && !this.#committing) {
      // As long as it is not ready, no delivery may come to find out.
      await this.#tryToWrite();
    }
    const hasMore = this.#problem === null &&
      (await this.#index() || !this.#committing && await this.#deleteOld());
    if (this.#closing) return;
    const tookMs = performance.now() - startMs;
    this.#stepLater(
      hasMore && !this.#committing
        ? Math.max(minStepPauseMs, tookMs)
        : stepIntervalMs,
    );
  }

  #upkeep(): void {
    if (this.#problem !== null) return;
    this.#isDeleting = this.#retentionMs < Infinity;
    // Plans are good without it.
    this.#writer!.call("optimize").catch(() => {});
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
      const logBytes = await this.#checkpointer?.call("checkpoint") ?? 0;
      if (logBytes > maxLogBytes) {
        await this.#betweenSearches(async () => {
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

  async #tryToWrite(): Promise<void> {
    try {
      await this.#writer!.call("tryToWrite");
      this.#setWriteProblem(null);
    } catch (error) {
      this.#onWriteFailed(error as StoreUnavailable);
    }
  }

  /** Does something when the current search has ended, before the next one begins. */
  async #betweenSearches(work: () => Promise<void>): Promise<void> {
    const pause = Promise.withResolvers<void>();
    this.#searchPause = pause.promise;
    await this.#currentSearch.catch(() => {});
    try {
      await work();
    } finally {
      this.#searchPause = undefined;
      pause.resolve();
    }
  }

  /** Asks the connection that no long read can occupy, and doesn't wait for long. */
  async #soon<T>(ask: (connection: Connection) => Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new StoreUnavailable("no_answer")),
        soonMs,
      );
    });
    try {
      const connection = this.#usable(this.#checkpointer ?? this.#reader);
      return await Promise.race([ask(connection), timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  #nextBatch(): Waiting[] {
    let rows = 0;
    let payloadChars = 0;
    let count = 0;
    while (
      count < this.#waiting.length && rows < maxBatchRows &&
      payloadChars < maxBatchPayloadChars
    ) {
      const delivery = this.#waiting[count++];
      rows += delivery.rows;
      payloadChars += delivery.payloadChars;
    }
    this.#waitingRows -= rows;
    this.#waitingPayloadChars -= payloadChars;
    return this.#waiting.splice(0, count);
  }

  async #open(): Promise<void> {
    try {
      this.#writer = await this.#connect("writer");
      if (this.#path === ":memory:") {
        // It belongs to one connection.
        this.#reader = this.#searcher = this.#writer;
      } else {
        [this.#reader, this.#searcher, this.#checkpointer] = await Promise.all([
          this.#connect("reader"),
          this.#connect("reader"),
          this.#connect("checkpointer"),
        ]);
      }
      if (this.#closing) return;
      this.#setProblem(null);
      this.#upkeep();
    } catch (error) {
      this.#reopenLater(error as StoreUnavailable);
    }
  }

  async #connect(role: Role): Promise<Connection> {
    const connection = new Connection((error) => this.#reopenLater(error));
    this.#connections.push(connection);
    await connection.call("open", this.#path, role);
    return connection;
  }

  /** A step doesn't wait for a lock: that another process has it is no failure. */
  #onStepFailed(problem: StoreUnavailable): void {
    if (problem.reason !== "locked") this.#onWriteFailed(problem);
  }

  #onWriteFailed(problem: StoreUnavailable): void {
    if (this.#problem !== null) return;
    if (problem.reason === "replaced") {
      this.#reopenLater(problem);
    } else if (problem.reason === "corrupt") {
      // Every further write could make it worse. Somebody has to restore it.
      this.#abandon(problem);
    } else {
      this.#setWriteProblem(problem);
    }
  }

  /** What is written to a file that is no longer there would be lost. */
  #reopenIfReplaced(problem: StoreUnavailable): void {
    if (problem.reason === "replaced") this.#reopenLater(problem);
  }

  #reopenLater(problem: StoreUnavailable): void {
    if (this.#closing || this.#reopenTimer !== undefined) return;
    this.#abandon(problem);
    this.#reopenTimer = setTimeout(() => {
      this.#reopenTimer = undefined;
      this.#open();
    }, reopenDelayMs);
  }

  #abandon(problem: StoreUnavailable): void {
    this.#setProblem(problem);
    for (const connection of this.#connections.splice(0)) {
      connection.terminate(problem);
    }
  }

  #setProblem(problem: StoreUnavailable | null): void {
    this.#problem = problem;
    this.#setWriteProblem(null);
  }

  #setWriteProblem(problem: StoreUnavailable | null): void {
    this.#writeProblem = problem;
    const current = this.#problem ?? problem;
    const isNew = current?.reason !== this.#toldProblem?.reason;
    this.#toldProblem = current;
    if (isNew) this.#onState(current);
  }

  #usable(connection: Connection | undefined): Connection {
    if (this.#problem !== null) throw this.#problem;
    return connection!;
  }
}
