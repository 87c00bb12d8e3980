/**
 * The asking side of a worker: operations as functions that return promises.
 *
 * @module
 */

import { StoreUnavailable } from "../store.ts";
import type { Call, Operations, Reply } from "./worker.ts";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: StoreUnavailable): void;
}

/**
 * A database connection in a worker of its own. Calls and replies cross as JSON:
 * a batch of rows takes less time that way than as a structured clone.
 */
export class Connection {
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
  });
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  /** @param onCrash Called when the worker dies of an error; all calls have failed by then. */
  constructor(onCrash: (error: StoreUnavailable) => void) {
    this.#worker.onmessage = ({ data }: MessageEvent<string>) => {
      const reply: Reply = JSON.parse(data);
      const { resolve, reject } = this.#waiting.get(reply.id)!;
      this.#waiting.delete(reply.id);
      if ("reason" in reply) {
        reject(new StoreUnavailable(reply.reason, reply.detail));
      } else {
        resolve(reply.value);
      }
    };
    this.#worker.onerror = (event) => {
      // Without this the error would end the whole process.
      event.preventDefault();
      const error = new StoreUnavailable("worker_crashed", event.message);
      this.#fail(error);
      onCrash(error);
    };
  }

  /**
   * Has the worker do one of its operations; they are done in the order asked.
   *
   * @throws {StoreUnavailable} If the operation fails or the worker goes away.
   */
  call<Name extends keyof Operations>(
    name: Name,
    ...args: Parameters<Operations[Name]>
  ): Promise<ReturnType<Operations[Name]>> {
    const id = ++this.#lastId;
    const result = new Promise<unknown>((resolve, reject) =>
      this.#waiting.set(id, { resolve, reject })
    );
    this.#worker.postMessage(
      JSON.stringify({ id, name, args } satisfies Call),
    );
    return result as Promise<ReturnType<Operations[Name]>>;
  }

  /** Ends the worker as it is; calls that wait fail with this error. */
  terminate(error: StoreUnavailable): void {
    this.#worker.terminate();
    this.#fail(error);
  }

  #fail(error: StoreUnavailable): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
