/**
 * What is known of a database without reading all of it.
 *
 * @module
 */

import { openToRead } from "./open.ts";
import { versionOf } from "./schema.ts";

/** A database at a glance. */
export interface Inspection {
  /** The version of its schema; 0 if it is empty. */
  readonly version: number;
  /** When the last message came, by the clock of that time; `null` without any. */
  readonly newestReceivedAt: string | null;
}

/** @throws {Error} If there is no database, or it can't be read. */
export function inspect(path: string): Inspection {
  const db = openToRead(path);
  try {
    const version = versionOf(db);
    const newest = version === 0 ? undefined : db.prepare(
      "SELECT created_at FROM messages ORDER BY seq DESC LIMIT 1",
    ).get();
    return {
      version,
      newestReceivedAt: (newest?.created_at ?? null) as string | null,
    };
  } finally {
    db.close();
  }
}
