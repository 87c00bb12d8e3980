/**
 * Case folding, for searches that ignore case.
 *
 * @module
 */

import { sql } from "./sql.ts";

/**
 * The text with its case removed, beyond ASCII too: Unicode's lower case, with
 * one addition. `toLowerCase()` gives Σ as σ or, at the end of a word, as ς,
 * which would hide a word's beginning from a search; here it is σ everywhere.
 */
export function fold(text: string): string {
  return text.toLowerCase().replaceAll("ς", "σ");
}

/**
 * The folded text, if SQLite's `lower()`, which changes A to Z only, gives
 * another one; else `null`.
 */
export function foldBeyondAscii(text: string): string | null {
  // deno-lint-ignore no-control-regex -- all of ASCII, its controls included
  if (/^[\x00-\x7f]*$/.test(text)) return null;
  const folded = fold(text);
  const lower = text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  return folded === lower ? null : folded;
}

/** A message's folded text. */
export const foldedText = sql`coalesce(text_folded, lower(text))`;
