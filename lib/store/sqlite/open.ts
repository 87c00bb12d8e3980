/**
 * Connections for commands that work on the database beside the server.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { StoreUnavailable } from "../store.ts";
import { migrate, schemaVersion, versionOf } from "./schema.ts";

/** How long a statement waits for the server's lock: longer than any of its commits. */
const busyTimeoutMs = 10_000;
/** The pages that new rows go to are all over the indexes. */
const writerCacheKib = 64 << 10;
/** 32 MB of log: the same pages are then written back less often. */
const checkpointPages = 8000;

/**
 * Opens a database to read it; nothing in it changes.
 *
 * @throws {Error} If there is none, or it can't be read.
 */
export function openToRead(path: string): DatabaseSync {
  checkIsFile(path);
  return opened(new DatabaseSync(path, { readOnly: true }), (db) => {
    // The first look at the file; exec() says what is wrong with it, prepare() not.
    db.exec("SELECT * FROM sqlite_schema LIMIT 0");
  });
}

/**
 * Opens a database with this program's schema to read it.
 *
 * @throws {Error} As {@linkcode openToRead}, and if the schema is another one.
 */
export function openStoreToRead(path: string): DatabaseSync {
  return opened(openToRead(path), (db) => {
    const version = versionOf(db);
    if (version !== schemaVersion) {
      throw new Error(
        `the database has schema version ${version}, this program ${schemaVersion}` +
          (version < schemaVersion
            ? "; start the server once: it upgrades"
            : ""),
      );
    }
  });
}

/**
 * Opens a database to write to it; makes it, and its schema, if need be.
 *
 * @throws {Error} If it can't be opened, written or upgraded.
 */
export function openToWrite(path: string): DatabaseSync {
  checkIsFile(path);
  return opened(new DatabaseSync(path), (db) => {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    db.exec(
      `PRAGMA cache_size = -${writerCacheKib};
       PRAGMA wal_autocheckpoint = ${checkpointPages}`,
    );
    try {
      migrate(db);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      throw new Error(error.detail);
    }
  });
}

function checkIsFile(path: string): void {
  if (path === ":memory:") {
    throw new Error("DATABASE_URL names a database in the server's memory");
  }
  try {
    if (!Deno.statSync(path).isDirectory) return;
  } catch {
    // SQLite makes it, or says what is wrong.
    return;
  }
  throw new Error(`${path} is a folder`);
}

function opened(
  db: DatabaseSync,
  prepare: (db: DatabaseSync) => void,
): DatabaseSync {
  try {
    db.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    prepare(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}
