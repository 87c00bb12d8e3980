/**
 * The schema, and the way from any older version of it to this one.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";
import { StoreUnavailable } from "../store.ts";
import { transaction } from "./transaction.ts";

/**
 * Each entry takes a database from the version of its index to the next one.
 * An entry that was released is never changed: new versions are new entries.
 *
 * - `seq` is the order of insertion; AUTOINCREMENT never reuses a number, so
 *   that a reader can resume behind the last one it saw.
 * - `ts_ms` is `ts` as an instant: rows order by it, clients see `ts`.
 * - `text_folded` is what a search looks into where `lower(text)`, which knows
 *   ASCII only, is not enough; mostly it is NULL and takes no space.
 *
 * The rest is the index of the messages; the Indexer keeps it, a little behind
 * them: up to `totals.indexed_seq`.
 *
 * - `totals` (one row), `senders` and `periods` (minutes and days in UTC) are
 *   figures that are read instead of counted; the EventCounter keeps that of the
 *   events, up to `totals.counted_event_seq`.
 * - `sender_hours` lists the messages of each sender in each hour, under one term;
 *   `sender_hour_terms` gives them, `sender_hour_counts` how many they are.
 * - `search` finds the messages whose folded text holds given characters,
 *   `search_terms` lists its terms, the three characters from each position on,
 *   and `grams` counts the messages that hold one or two characters.
 *
 * FTS5's tables gather what is added and merge it in large, sequential writes; a
 * B-tree in the order of senders would have a page written for every message.
 */
const migrations = [
  `CREATE TABLE messages (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     message_id TEXT NOT NULL UNIQUE,
     from_msisdn TEXT NOT NULL,
     to_msisdn TEXT NOT NULL,
     ts TEXT NOT NULL,
     ts_ms INTEGER NOT NULL,
     text TEXT,
     text_folded TEXT,
     created_at TEXT NOT NULL
   ) STRICT;
   CREATE INDEX messages_by_instant ON messages (ts_ms, message_id);
   CREATE INDEX messages_by_sender ON messages (from_msisdn, ts_ms, message_id);`,

  `ALTER TABLE messages ADD COLUMN type TEXT NOT NULL DEFAULT 'text';
   ALTER TABLE messages ADD COLUMN contact_name TEXT;
   ALTER TABLE messages ADD COLUMN payload TEXT;
   CREATE TABLE events (
     seq INTEGER PRIMARY KEY AUTOINCREMENT,
     event_id TEXT NOT NULL UNIQUE,
     kind TEXT NOT NULL,
     message_id TEXT,
     ts TEXT NOT NULL,
     ts_ms INTEGER NOT NULL,
     payload TEXT NOT NULL,
     created_at TEXT NOT NULL
   ) STRICT;
   CREATE INDEX events_by_instant ON events (ts_ms, event_id);
   CREATE INDEX events_by_message ON events (message_id, ts_ms, event_id)
     WHERE message_id IS NOT NULL;`,

  `CREATE TABLE senders (
     from_msisdn TEXT PRIMARY KEY,
     count INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;
   INSERT INTO senders
     SELECT from_msisdn, count(*) FROM messages GROUP BY from_msisdn;
   CREATE INDEX senders_by_count ON senders (count DESC, from_msisdn);
   CREATE TABLE totals (
     messages INTEGER NOT NULL,
     senders INTEGER NOT NULL
   ) STRICT;
   INSERT INTO totals
     SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM senders);`,

  // The messages of an existing database are indexed while it is in use.
  `DROP INDEX messages_by_sender;
   DELETE FROM senders;
   DROP TABLE totals;
   CREATE TABLE totals (
     messages INTEGER NOT NULL,
     senders INTEGER NOT NULL,
     indexed_seq INTEGER NOT NULL
   ) STRICT;
   INSERT INTO totals VALUES (0, 0, 0);
   CREATE TABLE periods (
     length_ms INTEGER NOT NULL,
     start_ms INTEGER NOT NULL,
     messages INTEGER NOT NULL,
     PRIMARY KEY (length_ms, start_ms)
   ) STRICT, WITHOUT ROWID;
   CREATE VIRTUAL TABLE sender_hours USING fts5(
     term, tokenize = 'ascii', detail = none, content = '', columnsize = 0
   );
   CREATE VIRTUAL TABLE sender_hour_terms USING fts5vocab(sender_hours, instance);
   CREATE VIRTUAL TABLE search USING fts5(
     text, tokenize = 'trigram case_sensitive 1', content = '', columnsize = 0
   );
   CREATE VIRTUAL TABLE search_terms USING fts5vocab(search, instance);
   CREATE TABLE grams (
     gram TEXT PRIMARY KEY,
     messages INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,

  // The events of an existing database are counted while it is in use.
  `ALTER TABLE totals ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
   ALTER TABLE totals ADD COLUMN counted_event_seq INTEGER NOT NULL DEFAULT 0;
   CREATE TRIGGER events_count_out AFTER DELETE ON events BEGIN
     UPDATE totals SET events = events - (OLD.seq <= counted_event_seq);
   END;`,

  // Merging the parts of the index later costs ingest less, and searches little;
  // what FTS5 calls a crisis would merge many of them at once.
  `INSERT INTO search (search, rank) VALUES ('automerge', 16), ('crisismerge', 64);
   CREATE VIRTUAL TABLE sender_hour_counts USING fts5vocab(sender_hours, row);`,
];

/** The version this program writes, as `PRAGMA user_version`. */
export const schemaVersion = migrations.length;

/** The version of the schema that a database has; 0 is an empty one. */
export function versionOf(db: DatabaseSync): number {
  return Number(db.prepare("PRAGMA user_version").get()?.user_version);
}

/**
 * Brings the schema up to this program's version, in one transaction.
 *
 * @throws {StoreUnavailable} `newer_schema` if the database is ahead of this
 * program; it is left as it is.
 */
export function migrate(db: DatabaseSync): void {
  transaction(db, "IMMEDIATE", () => {
    const version = versionOf(db);
    if (version > schemaVersion) {
      throw new StoreUnavailable(
        "newer_schema",
        `schema version ${version}, this program knows up to ${schemaVersion}: run a newer program or restore a backup`,
      );
    }
    // Mostly there is nothing to do: that writes nothing.
    if (version === schemaVersion) return;
    for (const migration of migrations.slice(version)) db.exec(migration);
    db.exec(`PRAGMA user_version = ${schemaVersion}`);
  });
}
