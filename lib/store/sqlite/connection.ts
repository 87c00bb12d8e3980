/**
 * The asking side of a worker: operations as functions that return promises.
 *
 * @module
 */

import { StoreUnavailable } from "../store.ts";
import { asUnavailable } from "./errors.ts";
import type { Call, Operations, Reply } from "./worker.ts";
import { workerUrl } from "./worker_url.ts";

/** So many calls may wait for one worker; past that, `busy`. */
export const maxWaitingCalls = 1000;
/** A worker that does nothing else for so many seconds hangs. */
const hangSeconds = 30;
/** But these take as long as the database is large. */
const slowOperations: ReadonlySet<keyof Operations> = new Set([
  "open",
  "checkpoint",
  "close",
]);

interface Waiting {
  readonly name: keyof Operations;
  resolve(value: unknown): void;
  reject(error: StoreUnavailable): void;
}

/**
 * A database connection in a worker of its own. Calls and replies cross as JSON:
 * a batch of rows takes less time that way than as a structured clone.
 */
export class Connection {
  readonly #worker = new Worker(workerUrl("worker"), { type: "module" });
  /** In the order asked: the first one is being done. */
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  /** Seconds are counted, not measured: while the process stands still none goes by. */
  #secondsSinceReply = 0;
  readonly #watch = setInterval(() => this.#watchForHang(), 1000);
  readonly #onCrash: (error: StoreUnavailable) => void;

  /**
   * @param onCrash Called when the worker dies of an error, or hangs; all calls
   * have failed by then.
   */
  constructor(onCrash: (error: StoreUnavailable) => void) {
    this.#onCrash = onCrash;
    this.#worker.onmessage = ({ data }: MessageEvent<string>) => {
      const reply: Reply = JSON.parse(data);
      const { resolve, reject } = this.#waiting.get(reply.id)!;
      this.#waiting.delete(reply.id);
      this.#secondsSinceReply = 0;
      if ("reason" in reply) {
        reject(new StoreUnavailable(reply.reason, reply.detail));
      } else {
        resolve(reply.value);
      }
    };
    this.#worker.onerror = (event) => {
      // Without this the error would end the whole process.
      event.preventDefault();
      this.#crash(new StoreUnavailable("worker_crashed", event.message));
    };
  }

  /**
   * Has the worker do one of its operations; they are done in the order asked.
   *
   * @throws {StoreUnavailable} If the operation fails, the worker goes away, too
   * many wait for it, or what would cross is too long for a string.
   */
  call<Name extends keyof Operations>(
    name: Name,
    ...args: Parameters<Operations[Name]>
  ): Promise<ReturnType<Operations[Name]>> {
    if (this.#waiting.size >= maxWaitingCalls) {
      return Promise.reject(new StoreUnavailable("busy"));
    }
    const id = ++this.#lastId;
    let call: string;
    try {
      call = JSON.stringify({ id, name, args } satisfies Call);
    } catch (error) {
      return Promise.reject(asUnavailable(error as Error));
    }
    if (this.#waiting.size === 0) this.#secondsSinceReply = 0;
    const result = new Promise<unknown>((resolve, reject) =>
      this.#waiting.set(id, { name, resolve, reject })
    );
    this.#worker.postMessage(call);
    return result as Promise<ReturnType<Operations[Name]>>;
  }

  /** Ends the worker as it is; calls that wait fail with this error. */
  terminate(error: StoreUnavailable): void {
    clearInterval(this.#watch);
    this.#worker.terminate();
    this.#fail(error);
  }

  #watchForHang(): void {
    const [current] = this.#waiting.values();
    if (current === undefined || slowOperations.has(current.name)) return;
    if (++this.#secondsSinceReply < hangSeconds) return;
    this.#crash(new StoreUnavailable("no_answer"));
  }

  #crash(error: StoreUnavailable): void {
    this.#fail(error);
    this.#onCrash(error);
  }

  #fail(error: StoreUnavailable): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
