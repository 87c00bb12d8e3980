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
import { SearchQueue } from "./search_queue.ts";
import { Upkeep } from "./upkeep.ts";
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
/** How long after a failed attempt to open the database, or to write, is the next. */
const retryDelayMs = 1000;
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
  readonly #searches = new SearchQueue();
  readonly #upkeep: Upkeep;
  /** Why the store can't be used, or `null` when it can. */
  #problem: StoreUnavailable | null = new StoreUnavailable("opening");
  /** Why the last write failed, while reads still work; `null` after one that didn't. */
  #writeProblem: StoreUnavailable | null = null;
  #toldProblem = this.#problem;
  #closing = false;
  #reopenTimer?: ReturnType<typeof setTimeout>;
  #retryTimer?: ReturnType<typeof setTimeout>;
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
   * @param options.onDeleted Told how many they were, after a pass that found any.
   * @param options.minFreeDiskBytes With less free on the disk `ping()` rejects.
   */
  constructor(
    path: string,
    onState: (problem: StoreUnavailable | null) => void,
    {
      retentionDays = Infinity,
      minFreeDiskBytes = 0,
      onDeleted = (_rows: number) => {},
    } = {},
  ) {
    this.#path = path;
    this.#onState = onState;
    this.#minFreeDiskBytes = minFreeDiskBytes;
    this.#upkeep = new Upkeep(
      this.#searches,
      retentionDays,
      () => this.#committing,
      onDeleted,
      (problem) => this.#onWriteFailed(problem),
    );
    this.#open();
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
      : this.#searches.run(() => list(this.#searcher)));
  }

  async getMessage(messageId: string): Promise<MessageDetails | undefined> {
    return await this.#usable(this.#reader).call("getMessage", messageId);
  }

  async listEvents(
    filter: EventFilter,
    limit: number,
    offset: number,
  ): Promise<Page<StoredEvent>> {
    return await this.#searches.run(() =>
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
    clearTimeout(this.#retryTimer);
    this.#upkeep.stop();
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
      const { batch, rows, payloadChars } = this.#nextBatch();
      const startMs = performance.now();
      try {
        const inserted = await this.#usable(this.#writer).call(
          "insert",
          batch.map(({ delivery }) => delivery),
        );
        batch.forEach(({ resolve }, index) => resolve(inserted[index]));
        if (this.#writeProblem !== null) this.#setWriteProblem(null);
        this.#onCommit({ rows, durationMs: performance.now() - startMs });
        await this.#upkeep.afterCommit({
          rows,
          newRows: inserted.reduce(
            (sum, { newMessages, newEvents }) => sum + newMessages + newEvents,
            0,
          ),
          payloadChars,
        });
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

  #nextBatch(): { batch: Waiting[]; rows: number; payloadChars: number } {
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
    return { batch: this.#waiting.splice(0, count), rows, payloadChars };
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
      this.#upkeep.start(this.#writer, this.#checkpointer);
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

  async #tryToWrite(): Promise<void> {
    try {
      await this.#usable(this.#writer).call("tryToWrite");
      this.#setWriteProblem(null);
    } catch (error) {
      this.#onWriteFailed(error as StoreUnavailable);
    }
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
    }, retryDelayMs);
  }

  #abandon(problem: StoreUnavailable): void {
    this.#upkeep.stop();
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
    clearTimeout(this.#retryTimer);
    if (problem !== null && !this.#closing) {
      // As long as it is not ready, no delivery may come to find out.
      this.#retryTimer = setTimeout(() => this.#tryToWrite(), retryDelayMs);
    }
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
