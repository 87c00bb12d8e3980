/**
 * Clients that read.
 *
 * @module
 */

import assert from "node:assert/strict";

/** Asks over a connection that is kept, and remembers how long it waited. */
export class Client {
  readonly waitsMs: number[] = [];
  /** The last answer. */
  body = "";

  /** @param path The path of the `n`th request. */
  constructor(
    readonly name: string,
    private readonly path: (n: number) => string,
  ) {}

  async ask(origin: string): Promise<void> {
    const path = this.path(this.waitsMs.length);
    const startMs = performance.now();
    const response = await fetch(origin + path);
    this.body = await response.text();
    this.waitsMs.push(performance.now() - startMs);
    assert.equal(response.status, 200, `${path}: ${this.body}`);
  }
}

/** Has each client ask again and again while some work is done. */
export async function askDuring<T>(
  origin: string,
  clients: readonly Client[],
  work: Promise<T>,
): Promise<T> {
  let isDone = false;
  const end = work.finally(() => isDone = true);
  await Promise.all(clients.map(async (client) => {
    while (!isDone) await client.ask(origin);
  }));
  return await end;
}
