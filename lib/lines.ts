/**
 * A stream of bytes as lines.
 *
 * @module
 */

/** A line of a stream. */
export interface Line {
  /** The first line is 1. */
  readonly number: number;
  /** Without its end; `undefined` if it is too long. */
  readonly bytes: Uint8Array | undefined;
}

const newline = "\n".charCodeAt(0);

/**
 * Splits a stream at its newlines; a last line needs none. It holds one line at
 * a time, and of one that is too long nothing.
 *
 * @param maxBytes The longest line, without its newline.
 */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Line> {
  let number = 1;
  let parts: Uint8Array[] = [];
  let size = 0;
  const add = (bytes: Uint8Array) => {
    size += bytes.length;
    if (size <= maxBytes) parts.push(bytes);
    else parts = [];
  };
  const take = (): Line => {
    const bytes = size <= maxBytes ? joined(parts, size) : undefined;
    parts = [];
    size = 0;
    return { number: number++, bytes };
  };
  for await (const chunk of stream) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      if (end < 0) break;
      add(chunk.subarray(start, end));
      yield take();
      start = end + 1;
    }
    if (start < chunk.length) add(chunk.subarray(start));
  }
  if (size > 0) yield take();
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  if (parts.length === 1) return parts[0];
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
