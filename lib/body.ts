/**
 * Request bodies: whole, within a size and a time.
 *
 * @module
 */

/** Why a body could not be read: the answer's status and its `detail`. */
export class BodyError extends Error {
  constructor(readonly status: 400 | 408 | 413 | 503, message: string) {
    super(message);
    this.name = "BodyError";
  }
}

/** How long a client may take to send a body. */
const bodyTimeoutMs = 30_000;

interface PendingBody {
  readonly startedMs: number;
  readonly reject: (error: BodyError) => void;
}

/** Reads bodies and knows which of them are still on their way. */
export class BodyReader {
  readonly #pending = new Set<PendingBody>();
  #onDrained?: () => void;
  // One timer for all requests costs less than a timer for each.
  readonly #sweep = setInterval(() => {
    this.#giveUp(
      new BodyError(408, `Body not received within ${bodyTimeoutMs / 1000} s`),
      performance.now() - bodyTimeoutMs,
    );
  }, 1000);

  /**
   * The body's bytes, at most `maxBytes` of them.
   *
   * @throws {BodyError} If the body is too large (found out without reading
   * it), breaks off, or takes too long.
   */
  async read(
    request: Request,
    maxBytes: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const contentLength = request.headers.get("content-length");
    // HTTP ends the body where Content-Length says, so it can be trusted.
    if (Number(contentLength) > maxBytes) throw tooLarge(maxBytes);
    const { promise, resolve, reject } = Promise.withResolvers<
      Uint8Array<ArrayBuffer>
    >();
    const pending = { startedMs: performance.now(), reject };
    this.#pending.add(pending);
    const body = contentLength === null
      ? readChunks(request, maxBytes)
      : request.arrayBuffer().then((buffer) => new Uint8Array(buffer));
    body.then(resolve, (error) =>
      reject(
        error instanceof BodyError
          ? error
          : new BodyError(400, "Body breaks off"),
      ));
    try {
      return await promise;
    } finally {
      this.#pending.delete(pending);
      if (this.#pending.size === 0) this.#onDrained?.();
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

  #giveUp(error: BodyError, latestStartMs = Infinity): void {
    for (const { startedMs, reject } of this.#pending) {
      if (startedMs <= latestStartMs) reject(error);
    }
  }
}

function tooLarge(maxBytes: number): BodyError {
  return new BodyError(413, `Body over ${maxBytes} bytes`);
}

async function readChunks(
  request: Request,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
