/** The first release's schema, to the letter. */
export const version1 = `CREATE TABLE messages (
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
   CREATE INDEX messages_by_sender ON messages (from_msisdn, ts_ms, message_id);
   PRAGMA user_version = 1;`;
