/**
 * One transaction around some work.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";

/**
 * Runs `work` in a transaction: commits when it returns, rolls back and throws
 * on when it throws.
 *
 * @param mode `IMMEDIATE` takes the write lock at the start, `DEFERRED` gives
 * reads one moment of the database.
 */
export function transaction<T>(
  db: DatabaseSync,
  mode: "DEFERRED" | "IMMEDIATE",
  work: () => T,
): T {
  db.exec(`BEGIN ${mode}`);
  try {
    const result = work();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    try {
      db.exec("ROLLBACK");
    } catch {
      // After some errors, a full disk for one, SQLite has rolled back already.
    }
    throw error;
  }
}
