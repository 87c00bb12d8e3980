/**
 * Statements that take minutes, in a worker: they hold up neither signals nor
 * whoever shows progress.
 *
 * @module
 */

import { workerUrl } from "./worker_url.ts";

/** What {@linkcode runInBackground} has its worker do. */
export interface Task {
  readonly path: string;
  readonly readOnly: boolean;
  /** The last one's rows are the result. */
  readonly statements: readonly string[];
}

/** A row of a result. */
export type Row = Readonly<Record<string, unknown>>;

/** What came of a task. */
export type Outcome = { readonly rows: readonly Row[] } | {
  readonly error: string;
};

/**
 * Runs statements on a connection of their own.
 *
 * @returns The rows of the last one.
 * @throws {Error} With SQLite's words, if one of them fails.
 */
export async function runInBackground(task: Task): Promise<readonly Row[]> {
  const worker = new Worker(workerUrl("background_worker"), { type: "module" });
  try {
    const outcome = await new Promise<Outcome>((resolve) => {
      worker.onmessage = ({ data }: MessageEvent<Outcome>) => resolve(data);
      worker.onerror = (event) => {
        event.preventDefault();
        resolve({ error: event.message });
      };
      worker.postMessage(task);
    });
    if ("error" in outcome) throw new Error(outcome.error);
    return outcome.rows;
  } finally {
    worker.terminate();
  }
}
