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
import { asUnavailable } from "./errors.ts";
import { Indexer } from "./indexer.ts";
import { Reader } from "./reader.ts";
import { migrate } from "./schema.ts";
import { Writer } from "./writer.ts";

/** How long a statement waits for another process's lock. */
const busyTimeoutMs = 2500;
/** The pages that are written to are all over the tables. */
const cacheKib = 64 << 10;

/** What a connection is for. */
export type Role = "writer" | "reader" | "checkpointer";

let db: DatabaseSync | undefined;
let file: { readonly path: string; readonly identity: string } | undefined;
let reader: Reader;
let writer: Writer;
let indexer: Indexer;

function open(path: string, role: Role): void {
  db = new DatabaseSync(path, { readOnly: role === "reader" });
  try {
    db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    if (role === "writer") {
      // In WAL mode FULL syncs the log before COMMIT returns:
      // https://sqlite.org/pragma.html#pragma_synchronous
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      migrate(db);
      // What is indexed is sorted first, in memory.
      db.exec(`PRAGMA cache_size = -${cacheKib}; PRAGMA temp_store = MEMORY`);
      // A checkpoint syncs the database file: no delivery is to wait for that.
      db.exec("PRAGMA wal_autocheckpoint = 0");
      writer = new Writer(db);
      indexer = new Indexer(db);
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

/** What the worker can be asked to do. */
const operations = {
  open,
  close,
  insert(batch: readonly Delivery[]) {
    checkFile();
    return writer.insert(batch);
  },
  index(maxMessages: number) {
    // What is indexed is on disk already; the index is, after the next delivery,
    // which is not to wait for a lock twice.
    db!.exec("PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 0");
    try {
      return indexer.index(maxMessages);
    } finally {
      db!.exec(
        `PRAGMA synchronous = FULL; PRAGMA busy_timeout = ${busyTimeoutMs}`,
      );
    }
  },
  /** Brings the log's pages into the database file, as far as nobody reads older ones. */
  checkpoint() {
    db!.exec("PRAGMA wal_checkpoint(PASSIVE)");
  },
  ping() {
    checkFile();
    reader.ping();
  },
  listMessages: (filter: MessageFilter, limit: number, offset: number) =>
    reader.listMessages(filter, limit, offset),
  getMessage: (messageId: string) => reader.getMessage(messageId),
  listEvents: (filter: EventFilter, limit: number, offset: number) =>
    reader.listEvents(filter, limit, offset),
  stats: () => reader.stats(),
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
  let reply: Reply;
  try {
    const operation = operations[name] as (...args: unknown[]) => unknown;
    reply = { id, value: operation(...args) };
  } catch (error) {
    const { reason, detail } = asUnavailable(error as Error);
    reply = { id, reason, detail };
  }
  self.postMessage(JSON.stringify(reply));
};
