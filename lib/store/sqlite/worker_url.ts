/**
 * Where the workers' modules are.
 *
 * @module
 */

import { extname } from "node:path";

/**
 * The URL of a worker in this folder. The executable holds bundles: one of the
 * program, with this in it, and beside it one of each worker.
 *
 * @param name The module's name, without its extension.
 */
export function workerUrl(name: string): URL {
  return new URL(name + extname(import.meta.url), import.meta.url);
}
