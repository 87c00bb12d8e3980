/**
 * How much room a database has, and how much it takes.
 *
 * @module
 */

import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { Figures } from "../store.ts";

/** The bytes that are free for this program where a file is, or is to be. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

/** The sizes of a database in a file, as far as they can be told. */
export function sizes(path: string): Figures {
  if (path === ":memory:") return {};
  // The log stands beside the file itself, not beside a link to it.
  const file = tryTo(() => Deno.realPathSync(path)) ?? path;
  return {
    databaseBytes: tryTo(() => Deno.statSync(file).size),
    walBytes: tryTo(() => Deno.statSync(`${file}-wal`).size),
    freeBytes: tryTo(() => freeBytes(file)),
  };
}

function tryTo<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
