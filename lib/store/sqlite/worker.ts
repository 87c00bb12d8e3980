/**
 * A worker with one connection. A commit waits for the disk and a search can
 * run long: here neither holds up the event loop that answers requests.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { DatabaseSync } from "node:sqlite";
import type { Delivery } from "../../message.ts";
import {
  type EventFilter,
  type MessageFilter,
  StoreUnavailable,
  type UnavailableReason,
} from "../store.ts";
import { freeBytes } from "./disk.ts";
import { asUnavailable } from "./errors.ts";
import { EventCounter } from "./event_counter.ts";
import { Indexer } from "./indexer.ts";
import { optimize } from "./optimize.ts";
import { Reader } from "./reader.ts";
import { Retention } from "./retention.ts";
import { migrate } from "./schema.ts";
import { Writer } from "./writer.ts";

/** How long a statement waits for another process's lock. */
const busyTimeoutMs = 2500;
/** The pages that are written to are all over the tables. */
const cacheKib = 64 << 10;
/**
 * A log that is longer could not be started over lately, for reads without a gap.
 * When it is, it is cut to this.
 */
const maxLogBytes = 128 << 20;
/** How long a start of the log waits for reads, which hold it up for a moment. */
const restartTimeoutMs = 10;
const pageBytes = 4096;
const pageHeaderBytes = 24;

const unchangingWrite = "UPDATE totals SET indexed_seq = indexed_seq";

/** What a connection is for. */
export type Role = "writer" | "reader" | "checkpointer";

let db: DatabaseSync | undefined;
let file: { readonly path: string; readonly identity: string } | undefined;
let reader: Reader;
let writer: Writer;
let indexer: Indexer;
let retention: Retention;
let eventCounter: EventCounter;

function open(path: string, role: Role): void {
  db = new DatabaseSync(path, { readOnly: role === "reader" });
  try {
    db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    if (role === "writer") {
      // In WAL mode FULL syncs the log before COMMIT returns:
      // https://sqlite.org/pragma.html#pragma_synchronous
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      migrate(db);
      // A file that is read-only opens like any other; only a change fails.
      db.exec(`BEGIN IMMEDIATE; ${unchangingWrite}; ROLLBACK`);
      // What is indexed is sorted first, in memory.
      db.exec(`PRAGMA cache_size = -${cacheKib}; PRAGMA temp_store = MEMORY`);
      // A checkpoint syncs the database file: no delivery is to wait for that.
      db.exec("PRAGMA wal_autocheckpoint = 0");
      db.exec(`PRAGMA journal_size_limit = ${maxLogBytes}`);
      writer = new Writer(db);
      indexer = new Indexer(db);
      retention = new Retention(db);
      eventCounter = new EventCounter(db);
    }
    reader = new Reader(db);
    reader.ping();
    file = path === ":memory:" ? undefined : { path, identity: identify(path) };
  } catch (error) {
    close();
    throw error;
  }
}

/** Which file a path leads to, whatever was renamed; "" where there is none. */
function identify(path: string): string {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return "";
  }
}

/**
 * SQLite goes on with a file that was deleted or renamed under it; what it
 * "stores" then is gone with the process.
 *
 * @throws {StoreUnavailable} `replaced` if the path no longer leads to the file
 * that is open.
 */
function checkFile(): void {
  if (file !== undefined && identify(file.path) !== file.identity) {
    throw new StoreUnavailable("replaced");
  }
}

function close(): void {
  db?.close();
  db = undefined;
}

/**
 * Writes what may be lost in a power cut, to be done again: no delivery depends on
 * it, and all of it is on disk after the next one, which is not to wait for a lock
 * twice.
 */
function asUpkeep<T>(write: () => T): T {
  db!.exec("PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0");
  try {
    return write();
  } finally {
    db!.exec(
      `PRAGMA synchronous = FULL; PRAGMA busy_timeout = ${busyTimeoutMs}`,
    );
  }
}

/** What the worker can be asked to do. */
const operations = {
  open,
  close,
  insert(batch: readonly Delivery[]) {
    checkFile();
    return writer.insert(batch);
  },
  index: (maxRows: number) =>
    asUpkeep(() => {
      const hasMoreEvents = eventCounter.count(maxRows);
      const { messages, hasMore } = indexer.index(maxRows);
      return { messages, hasMore: hasMore || hasMoreEvents };
    }),
  deleteOld: (oldestMs: number) => asUpkeep(() => retention.step(oldestMs)),
  optimize: () => asUpkeep(() => optimize(db!)),
  /**
   * Brings the log's pages into the database file, as far as nobody reads older ones.
   *
   * @returns Whether the log has become too long.
   */
  checkpoint(): boolean {
    const { log } = db!.prepare("PRAGMA wal_checkpoint(PASSIVE)").get()!;
    return Number(log) * (pageBytes + pageHeaderBytes) > maxLogBytes;
  },
  /** Does that, and sees to it that the next write starts the log over. */
  restartLog() {
    db!.exec(`PRAGMA busy_timeout = ${restartTimeoutMs}`);
    try {
      db!.exec("PRAGMA wal_checkpoint(RESTART)");
    } finally {
      db!.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    }
  },
  /** Writes as a delivery does, and changes nothing. */
  tryToWrite() {
    checkFile();
    db!.exec(unchangingWrite);
  },
  ping(minFreeBytes: number) {
    checkFile();
    reader.ping();
    if (
      file !== undefined && minFreeBytes > 0 &&
      freeBytes(file.path) < minFreeBytes
    ) {
      throw new StoreUnavailable("disk_low");
    }
  },
  listMessages: (filter: MessageFilter, limit: number, offset: number) =>
    reader.listMessages(filter, limit, offset),
  getMessage: (messageId: string) => reader.getMessage(messageId),
  listEvents: (filter: EventFilter, limit: number, offset: number) =>
    reader.listEvents(filter, limit, offset),
  stats: () => reader.stats(),
  figures() {
    checkFile();
    return reader.figures();
  },
};

/** The worker's operations by name, for the other side's types. */
export type Operations = typeof operations;

/** An operation's name and arguments, under a number of the asker's choice. */
export interface Call {
  readonly id: number;
  readonly name: keyof Operations;
  readonly args: readonly unknown[];
}

/** What came of a call: a value, or why there is none. */
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | {
    readonly id: number;
    readonly reason: UnavailableReason;
    readonly detail: string | undefined;
  };

self.onmessage = ({ data }: MessageEvent<string>) => {
  const { id, name, args }: Call = JSON.parse(data);
  let reply: string;
  try {
    const operation = operations[name] as (...args: unknown[]) => unknown;
    const value = operation(...args);
    reply = JSON.stringify({ id, value } satisfies Reply);
  } catch (error) {
    const { reason, detail } = asUnavailable(error as Error);
    reply = JSON.stringify({ id, reason, detail } satisfies Reply);
  }
  self.postMessage(reply);
};
