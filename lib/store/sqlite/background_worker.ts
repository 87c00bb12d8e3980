/**
 * The worker of `runInBackground()`.
 *
 * @module
 */

/// <reference lib="deno.worker" />

import { DatabaseSync } from "node:sqlite";
import type { Outcome, Task } from "./background.ts";

self.onmessage = ({ data }: MessageEvent<Task>) => {
  let outcome: Outcome;
  try {
    outcome = { rows: run(data) };
  } catch (error) {
    outcome = { error: (error as Error).message };
  }
  self.postMessage(outcome);
};

function run({ path, readOnly, statements }: Task) {
  const db = new DatabaseSync(path, { readOnly });
  try {
    for (const statement of statements.slice(0, -1)) db.exec(statement);
    return db.prepare(statements.at(-1)!).all().map((row) => ({ ...row }));
  } finally {
    db.close();
  }
}
