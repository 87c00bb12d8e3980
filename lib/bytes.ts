/**
 * Bytes in parts.
 *
 * @module
 */

/** The parts in one piece, which has `size` bytes in all. */
export function concat(
  parts: readonly Uint8Array[],
  size: number,
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
