/**
 * Whether a database file is whole.
 *
 * @module
 */

import { runInBackground } from "./background.ts";

/**
 * Has SQLite read all of a database. `quick_check` doesn't compare the indexes
 * with the rows, which takes most of the time that `integrity_check` takes.
 *
 * @returns What is wrong with it, a line each: nothing, or the first faults.
 * @throws {Error} If it can't be read.
 */
export async function findFaults(
  path: string,
  check: "quick_check" | "integrity_check",
): Promise<string[]> {
  const rows = await runInBackground({
    path,
    readOnly: true,
    statements: [`PRAGMA ${check}`],
  });
  return rows.flatMap((row) => `${row[check]}`.split("\n"))
    // A headline says which database the next lines are of.
    .filter((line) => line !== "ok" && !line.startsWith("***"));
}
