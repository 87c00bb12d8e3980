/**
 * The messages of the benchmark: as many as wanted, made from their number alone.
 *
 * @module
 */

import type { Delivery, Message } from "../../lib/message.ts";

const senderCount = 5000;
const vocabularySize = 3000;
const firstMs = Date.UTC(2025, 0, 1);
/** Ten million messages in a year. */
const betweenMs = 3150;
/** In one of 100,000 messages: a code, and a word of nothing but common trigrams. */
const rareCode = "KX-7419";
const rareWord = "kalinorema";

let state = 0;

/** The next of 2^32 numbers that look random (splitmix32). */
function next(): number {
  state = (state + 0x9e3779b9) | 0;
  let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** From 0 to below 1. */
function nextFraction(): number {
  return next() / 2 ** 32;
}

const frequentWords =
  ("order the is to you when my please it can for and in of a blue size price " +
    "shop delivery today thanks hello invoice payment return refund card stock")
    .split(" ");
const foreignWords =
  ("café señor mañana über Größe привет заказ спасибо naïve Zürich coração 😀")
    .split(" ");

/** Words, the most frequent first; the twelve beyond ASCII are not far behind. */
const vocabulary = Array.from({ length: vocabularySize }, (_, index) => {
  if (index < frequentWords.length) return frequentWords[index];
  if (index % 20 === 0 && foreignWords.length > 0) return foreignWords.shift()!;
  const syllables = Array.from(
    { length: 2 + next() % 3 },
    () => "bcdfghklmnprstvz"[next() % 16] + "aeiou"[next() % 5],
  );
  return syllables.join("");
});

const senders = Array.from(
  { length: senderCount },
  (_, index) => `+${919_876_500_000 + index * 7919 % 100_000}`,
);

const hex = Array.from(
  { length: 1 << 16 },
  (_, value) => value.toString(16).padStart(4, "0"),
);

/** Eight hexadecimal digits, with this in the middle. */
function nextHex(separator: string): string {
  const value = next();
  return hex[value >>> 16] + separator + hex[value & 0xffff];
}

/**
 * The `n`th message, the same every time, in about a microsecond. Messages come
 * in the order they were sent, but for one in a hundred that is up to three days
 * late, as a provider that tries again delivers it.
 */
export function messageAt(n: number): Message {
  // An odd factor makes all first numbers, and so all ids, distinct.
  state = Math.imul(n, 0x85ebca6b);
  const message_id = `${nextHex("")}-${nextHex("-")}-${nextHex("-")}${
    nextHex("")
  }`;
  const lateMs = next() % 100 === 0 ? next() % (3 * 86_400_000) : next() % 5000;
  let text = "";
  for (let words = 3 + next() % 10; words > 0; words--) {
    text += vocabulary[Math.floor(vocabularySize * nextFraction() ** 2)];
    if (words > 1) text += " ";
  }
  if (n % 100_000 === 4321) text += ` ${rareWord} ${rareCode}`;
  return {
    message_id,
    from: senders[Math.floor(senderCount * nextFraction() ** 3)],
    to: "+14155550100",
    ts: new Date(firstMs + n * betweenMs - lateMs).toISOString(),
    text: text[0].toUpperCase() + text.slice(1),
  };
}

/** The `n`th message as the writer takes it. */
export function deliveryAt(n: number): Delivery {
  const message = messageAt(n);
  return {
    messages: [{ ...message, type: "text", contact_name: null, payload: null }],
    events: [],
  };
}

/** The sender of the most messages, about one in seventeen. */
export const frequentSender = senders[0];

/** What to search for, by how often it is found. */
export const searches = {
  "rare code": rareCode,
  "rare word": rareWord,
  "common": frequentWords[0],
  "one character": "e",
  "non-ASCII": "ПРИВЕТ",
  // As common in its trigrams, but longer than the words of the vocabulary.
  "no hit": "noremakali",
} as const;
