/**
 * Searches one after the other, so that something can be done between two.
 *
 * @module
 */

import { StoreUnavailable } from "../store.ts";
import { maxWaitingCalls } from "./connection.ts";

/** Does what may read many rows, in the order asked. */
export class SearchQueue {
  #size = 0;
  #last: Promise<unknown> = Promise.resolve();
  #current: Promise<unknown> = Promise.resolve();
  /** Pending while no search may begin. */
  #pause?: Promise<void>;

  /** @throws {StoreUnavailable} What `search` throws, or `busy`. */
  async run<T>(search: () => Promise<T>): Promise<T> {
    if (this.#size >= maxWaitingCalls) throw new StoreUnavailable("busy");
    this.#size++;
    const result = this.#last.then(async () => {
      if (this.#pause !== undefined) await this.#pause;
      const result = search();
      this.#current = result;
      return await result;
    });
    this.#last = result.catch(() => {});
    try {
      return await result;
    } finally {
      this.#size--;
    }
  }

  /** Does something when the current search has ended, before the next one begins. */
  async between(work: () => Promise<void>): Promise<void> {
    const pause = Promise.withResolvers<void>();
    this.#pause = pause.promise;
    await this.#current.catch(() => {});
    try {
      await work();
    } finally {
      this.#pause = undefined;
      pause.resolve();
    }
  }
}
