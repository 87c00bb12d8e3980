/**
 * A stream of bytes as lines.
 *
 * @module
 */

import { concat } from "./bytes.ts";

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
    const join = () => parts.length === 1 ? parts[0] : concat(parts, size);
    const bytes = size <= maxBytes ? join() : undefined;
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
