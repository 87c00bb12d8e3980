/**
 * Request bodies: whole, within a size and a time.
 *
 * @module
 */

import { concat } from "./bytes.ts";

/** Why a body could not be read: the answer's status and its `detail`. */
export class BodyError extends Error {
  constructor(readonly status: 400 | 408 | 413 | 503, message: string) {
    super(message);
    this.name = "BodyError";
  }
}

/** How long a client may take to send a body. */
const bodyTimeoutMs = 30_000;
/** A body that says it is no longer than this is read at once, not in chunks. */
const maxWholeBytes = 64 << 10;
/** How much of all bodies may be in memory: on their way, or being worked on. */
const maxHeldBytes = 128 << 20;

/** A body that is in. Its bytes count until it is disposed of. */
export interface Body extends Disposable {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

interface PendingBody {
  readonly startedMs: number;
  heldBytes: number;
  readonly reject: (error: BodyError) => void;
  reader?: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
}

/** Reads bodies and knows which of them are still on their way. */
export class BodyReader {
  readonly #maxHeldBytes: number;
  #heldBytes = 0;
  /** The one that has been on its way longest comes first. */
  readonly #pending = new Set<PendingBody>();
  #onDrained?: () => void;
  // One timer for all requests costs less than a timer for each.
  readonly #sweep = setInterval(() => {
    this.#giveUp(
      new BodyError(408, `Body not received within ${bodyTimeoutMs / 1000} s`),
      performance.now() - bodyTimeoutMs,
    );
  }, 1000);

  /** @param maxBytes How much of all bodies may be in memory at once. */
  constructor(maxBytes = maxHeldBytes) {
    this.#maxHeldBytes = maxBytes;
  }

  /**
   * The body, at most `maxBytes` of it.
   *
   * @throws {BodyError} If the body is too large (found out without reading
   * it), breaks off, takes too long, or has to make room for others.
   */
  async read(request: Request, maxBytes: number): Promise<Body> {
    const contentLength = request.headers.get("content-length");
    // HTTP ends the body where Content-Length says, so it can be trusted.
    const length = contentLength === null ? Infinity : Number(contentLength);
    if (contentLength !== null && length > maxBytes) throw tooLarge(maxBytes);
    const { promise, resolve, reject } = Promise.withResolvers<
      Uint8Array<ArrayBuffer>
    >();
    const pending = { startedMs: performance.now(), heldBytes: 0, reject };
    this.#pending.add(pending);
    const body = length <= maxWholeBytes
      ? this.#readWhole(request, length, pending)
      : this.#readChunks(request, maxBytes, pending);
    body.then(resolve, (error) =>
      reject(
        error instanceof BodyError
          ? error
          : new BodyError(400, "Body breaks off"),
      ));
    try {
      const bytes = await promise;
      // It counts on, for whoever has it now.
      this.#heldBytes += bytes.length;
      const release = () => void (this.#heldBytes -= bytes.length);
      return { bytes, [Symbol.dispose]: release };
    } finally {
      this.#remove(pending);
    }
  }

  /**
   * Resolves when no body is on its way any more; after `graceMs` the rest are
   * given up. Nothing is to be read afterwards.
   */
  async drain(graceMs: number): Promise<void> {
    clearInterval(this.#sweep);
    if (this.#pending.size === 0) return;
    const timer = setTimeout(
      () => this.#giveUp(new BodyError(503, "The server is shutting down")),
      graceMs,
    );
    await new Promise<void>((resolve) => this.#onDrained = resolve);
    clearTimeout(timer);
  }

  /** For most bodies, and the fastest way; all of it counts from the start. */
  async #readWhole(
    request: Request,
    length: number,
    pending: PendingBody,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.#hold(length, pending);
    return new Uint8Array(await request.arrayBuffer());
  }

  async #readChunks(
    request: Request,
    maxBytes: number,
    pending: PendingBody,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    pending.reader = request.body?.getReader();
    for (;;) {
      const chunk = (await pending.reader?.read())?.value;
      if (chunk === undefined) return concat(chunks, size);
      size += chunk.length;
      if (size > maxBytes) {
        pending.reader?.cancel().catch(() => {});
        throw tooLarge(maxBytes);
      }
      chunks.push(chunk);
      this.#hold(chunk.length, pending);
    }
  }

  /**
   * Counts bytes in. If they are too many, those are given up that have been on
   * their way longest: whoever sends slowly can't keep the others out.
   */
  #hold(bytes: number, pending: PendingBody): void {
    pending.heldBytes += bytes;
    this.#heldBytes += bytes;
    for (const oldest of this.#pending) {
      if (this.#heldBytes <= this.#maxHeldBytes) return;
      this.#reject(
        oldest,
        new BodyError(503, "Too many bodies are on their way"),
      );
    }
  }

  #giveUp(error: BodyError, latestStartMs = Infinity): void {
    for (const pending of this.#pending) {
      if (pending.startedMs <= latestStartMs) this.#reject(pending, error);
    }
  }

  #reject(pending: PendingBody, error: BodyError): void {
    pending.reject(error);
    // What waits for the next chunk lets go of the ones before.
    pending.reader?.cancel().catch(() => {});
    this.#remove(pending);
  }

  #remove(pending: PendingBody): void {
    if (!this.#pending.delete(pending)) return;
    this.#heldBytes -= pending.heldBytes;
    if (this.#pending.size === 0) this.#onDrained?.();
  }
}

function tooLarge(maxBytes: number): BodyError {
  return new BodyError(413, `Body over ${maxBytes} bytes`);
}
