/**
 * The shapes of tables, for whoever plans queries.
 *
 * @module
 */

import type { DatabaseSync } from "node:sqlite";

/**
 * So much of each index is looked at: some 20 ms of work. Without a limit SQLite
 * would keep samples of values too, and plan a query anew for each value.
 */
const analysisLimitRows = 400;

/**
 * Has SQLite look at the tables that are ten times as large, or as small, as when
 * it last did: https://sqlite.org/lang_analyze.html#recommended_usage_patterns
 */
export function optimize(db: DatabaseSync): void {
  db.exec(
    `PRAGMA analysis_limit = ${analysisLimitRows}; PRAGMA optimize = 0x10002`,
  );
}
