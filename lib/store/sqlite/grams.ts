/**
 * Grams of one and of two characters, for searches too short for the index of
 * three.
 *
 * @module
 */

/** Most characters are ASCII: those and their pairs are counted in arrays. */
const asciiSize = 128;

/**
 * Counts how many texts hold each character, and each two characters in a row. A
 * character is a Unicode code point other than NUL.
 *
 * @param maxOthers Behind a text with which there are more grams beyond ASCII, it
 * ends.
 * @returns The counts, and how many texts they are of.
 */
export function countGrams(
  texts: readonly string[],
  maxOthers: number,
): { grams: Map<string, number>; size: number } {
  // Places in the arrays are `first * asciiSize + second`; a single character has
  // NUL for its second. A text counts once, wherever it was not the last to count.
  const counts = new Int32Array(asciiSize * asciiSize);
  const lastTexts = new Int32Array(asciiSize * asciiSize);
  const others = new Map<string, { count: number; lastText: number }>();

  function add(first: number, second: number, text: number): void {
    if (first < asciiSize && second < asciiSize) {
      const place = first * asciiSize + second;
      if (lastTexts[place] === text) return;
      lastTexts[place] = text;
      counts[place]++;
      return;
    }
    const gram = toGram(first, second);
    const other = others.get(gram);
    if (other === undefined) others.set(gram, { count: 1, lastText: text });
    else if (other.lastText !== text) {
      other.lastText = text;
      other.count++;
    }
  }

  let size = 0;
  while (size < texts.length && others.size <= maxOthers) {
    const text = texts[size++];
    let previous = 0;
    for (let pos = 0; pos < text.length; pos++) {
      const char = text.codePointAt(pos)!;
      if (char > 0xffff) pos++;
      add(char, 0, size);
      if (previous !== 0) add(previous, char, size);
      previous = char;
    }
  }

  const grams = new Map<string, number>();
  counts.forEach((count, place) => {
    if (count === 0) return;
    const first = Math.floor(place / asciiSize);
    grams.set(toGram(first, place % asciiSize), count);
  });
  for (const [gram, { count }] of others) grams.set(gram, count);
  return { grams, size };
}

function toGram(first: number, second: number): string {
  return second === 0
    ? String.fromCodePoint(first)
    : String.fromCodePoint(first, second);
}
