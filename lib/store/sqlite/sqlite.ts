/**
 * The store in SQLite: a connection that writes, one that reads, and the list
 * of messages that wait for the next commit.
 *
 * @module
 */

import type { Message } from "../../message.ts";
import {
  type Inserted,
  type MessageFilter,
  type Page,
  type Stats,
  type Store,
  StoreUnavailable,
} from "../store.ts";
import { Connection } from "./connection.ts";

interface Waiting {
  readonly message: Message;
  resolve(inserted: Inserted): void;
  reject(error: StoreUnavailable): void;
}

/** How many messages may wait for a commit; past it, `queue_full`. */
const maxWaiting = 10_000;
/** How many messages one transaction takes: about 50 ms of work. */
const maxBatch = 2_000;
/** How long after a failed attempt the database is tried again. */
const reopenDelayMs = 1000;
/** How long `ping()` waits for an answer. */
const pingTimeoutMs = 2000;

/**
 * Messages in a SQLite database, which is opened in the background and, if that
 * fails, tried again until it opens. Until then every call rejects with the
 * reason.
 */
export class SqliteStore implements Store {
  readonly #path: string;
  readonly #onState: (problem: StoreUnavailable | null) => void;
  #writer?: Connection;
  #reader?: Connection;
  /** Why the store can't be used, or `null` when it can. */
  #problem: StoreUnavailable | null = new StoreUnavailable("opening");
  #closing = false;
  #reopenTimer?: ReturnType<typeof setTimeout>;
  #waiting: Waiting[] = [];
  #committing = false;
  #onDrained?: () => void;

  /**
   * @param path The database file, or `:memory:`.
   * @param onState Told whenever the store becomes usable (`null`), or unusable
   * for another reason than before.
   */
  constructor(
    path: string,
    onState: (problem: StoreUnavailable | null) => void,
  ) {
    this.#path = path;
    this.#onState = onState;
    this.#open();
  }

  insert(message: Message): Promise<Inserted> {
    return new Promise((resolve, reject) => {
      if (this.#problem !== null) return reject(this.#problem);
      if (this.#waiting.length >= maxWaiting) {
        return reject(new StoreUnavailable("queue_full"));
      }
      this.#waiting.push({ message, resolve, reject });
      this.#commitNext();
    });
  }

  async list(
    filter: MessageFilter,
    limit: number,
    offset: number,
  ): Promise<Page> {
    return await this.#usable(this.#reader).call("list", filter, limit, offset);
  }

  async stats(): Promise<Stats> {
    return await this.#usable(this.#reader).call("stats");
  }

  async ping(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new StoreUnavailable("no_answer")),
        pingTimeoutMs,
      );
    });
    try {
      await Promise.race([this.#usable(this.#reader).call("ping"), timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#reopenTimer);
    if (this.#committing) {
      await new Promise<void>((resolve) => this.#onDrained = resolve);
    }
    this.#problem = new StoreUnavailable("closing");
    // The writer last: the last connection to leave writes the log back into
    // the database file.
    for (const connection of new Set([this.#reader, this.#writer])) {
      await connection?.call("close").catch(() => {});
      connection?.terminate();
    }
  }

  /** Everything that waits goes into one transaction, with one sync. */
  async #commitNext(): Promise<void> {
    if (this.#committing) return;
    this.#committing = true;
    // What arrives during a commit joins the next one.
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, maxBatch);
      try {
        const created = await this.#usable(this.#writer).call(
          "insert",
          batch.map(({ message }) => message),
        );
        batch.forEach(({ resolve }, index) =>
          resolve(created[index] ? "created" : "duplicate")
        );
      } catch (error) {
        for (const { reject } of batch) reject(error as StoreUnavailable);
      }
    }
    this.#committing = false;
    this.#onDrained?.();
  }

  async #open(): Promise<void> {
    const onCrash = (error: StoreUnavailable) => this.#reopenLater(error);
    try {
      this.#writer ??= new Connection(onCrash);
      await this.#writer.call("open", this.#path, false);
      // A database in memory belongs to one connection.
      if (this.#path === ":memory:") {
        this.#reader = this.#writer;
      } else {
        this.#reader ??= new Connection(onCrash);
        await this.#reader.call("open", this.#path, true);
      }
      if (!this.#closing) this.#setProblem(null);
    } catch (error) {
      this.#reopenLater(error as StoreUnavailable);
    }
  }

  #reopenLater(problem: StoreUnavailable): void {
    if (this.#closing || this.#reopenTimer !== undefined) return;
    this.#setProblem(problem);
    this.#reader?.terminate();
    this.#writer?.terminate();
    this.#reader = this.#writer = undefined;
    this.#reopenTimer = setTimeout(() => {
      this.#reopenTimer = undefined;
      this.#open();
    }, reopenDelayMs);
  }

  #setProblem(problem: StoreUnavailable | null): void {
    const changed = problem?.reason !== this.#problem?.reason;
    this.#problem = problem;
    if (changed) this.#onState(problem);
  }

  #usable(connection: Connection | undefined): Connection {
    if (this.#problem !== null) throw this.#problem;
    return connection!;
  }
}
