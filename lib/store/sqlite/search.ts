/**
 * Searches: what the index holds, and how it is asked.
 *
 * @module
 */

import { fold, foldedText } from "./fold.ts";
import { type Sql, sql } from "./sql.ts";

/** How many characters a term of the index has: FTS5's tokenizer is `trigram`. */
const termLength = 3;
/**
 * What the index can't tell: the mark that follows every text, so that a term
 * begins at its last characters as well; NUL, which ends a query; and what FTS5
 * takes for U+FFFD, which are U+FFFE and U+FFFF.
 */
// deno-lint-ignore no-control-regex -- it is for them
const untold = /[\0\x01\ufffd-\uffff]/;

/** What is indexed of a message's text. */
export const indexedText = sql`${foldedText} || char(1, 1)`;

/** What a search is for, and how to ask the index for it. */
export interface Search {
  /** What a message's folded text has to hold. */
  readonly folded: string;
  /**
   * Gives the `seq` of every indexed message whose text holds it; `undefined` if
   * the index can't tell.
   */
  readonly hits?: Sql;
  /** Gives their `count` where it is kept. */
  readonly count?: Sql;
}

/** How to search for a text that is not empty. */
export function searchFor(q: string): Search {
  const folded = fold(q);
  if (untold.test(folded)) return { folded };
  if (Array.from(folded).length >= termLength) {
    const phrase = `"${folded.replaceAll('"', '""')}"`;
    return {
      folded,
      hits: sql`SELECT rowid AS seq FROM search WHERE search MATCH ${phrase}`,
    };
  }
  // No term that begins with it comes after this one.
  const last = `${folded}\u{10ffff}\u{10ffff}`;
  return {
    folded,
    hits: sql`SELECT DISTINCT doc AS seq FROM search_terms
               WHERE term BETWEEN ${folded} AND ${last}`,
    count: sql`SELECT messages AS count FROM grams WHERE gram = ${folded}`,
  };
}
