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

/** Reads bodies and knows which of them are still on their way. */
export class BodyReader {
  readonly #pending = new Set<
    { readonly startedMs: number; reject(error: BodyError): void }
  >();
  // One timer for all requests costs less than a timer for each.
  readonly #sweep = setInterval(() => {
    this.#rejectOlderThan(
      bodyTimeoutMs,
      new BodyError(408, `Body not received within ${bodyTimeoutMs / 1000} s`),
    );
  }, 1000);

  /**
   * The body's bytes, at most `maxBytes` of them.
   *
   * @throws {BodyError} If the body is too large (found out without reading
   * it), breaks off, or takes too long.
   */
  read(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const tooLarge = new BodyError(413, `Body over ${maxBytes} bytes`);
    const contentLength = request.headers.get("content-length");
    if (Number(contentLength) > maxBytes) return Promise.reject(tooLarge);
    return new Promise((resolve, reject) => {
      const entry = { startedMs: performance.now(), reject };
      this.#pending.add(entry);
      // HTTP ends the body where Content-Length says, so it can be trusted.
      const bytes = contentLength === null
        ? readChunks(request, maxBytes, tooLarge)
        : request.arrayBuffer().then((buffer) => new Uint8Array(buffer));
      bytes.then(resolve, (error) =>
        reject(
          error === tooLarge ? error : new BodyError(400, "Body breaks off"),
        )).finally(() => this.#pending.delete(entry));
    });
  }

  /** Gives up the bodies that are on their way: the server stops. */
  close(): void {
    clearInterval(this.#sweep);
    this.#rejectOlderThan(0, new BodyError(503, "The server is shutting down"));
  }

  #rejectOlderThan(ageMs: number, error: BodyError): void {
    const latestStartMs = performance.now() - ageMs;
    for (const { startedMs, reject } of this.#pending) {
      if (startedMs <= latestStartMs) reject(error);
    }
  }
}

async function readChunks(
  request: Request,
  maxBytes: number,
  tooLarge: BodyError,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge;
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
