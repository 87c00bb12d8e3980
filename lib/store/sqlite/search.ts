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

/**
 * Messages with a few of a text's terms are found sooner than those with all of
 * them in a row: each term's list is as long as the term is common.
 */
const maxCandidateTerms = 3;

/**
 * A longer text is no phrase: FTS5 compares each of its terms with each place in a
 * message that has it, which takes seconds for a few thousand letters in a row.
 */
const maxPhraseLength = 32;

/** What is indexed of a message's text. */
export const indexedText = sql`${foldedText} || char(1, 1)`;

/** What a search is for, and how to ask the index for it. */
export interface Search {
  /** What a message's folded text has to hold. */
  readonly folded: string;
  /**
   * Gives the `seq` of every indexed message whose text holds it; `undefined` if
   * the index can't tell, or not soon.
   */
  readonly hits?: Sql;
  /** Gives those and some others, sooner: whether a text holds it is to be seen. */
  readonly candidates?: Sql;
  /** Gives their `count` where it is kept. */
  readonly count?: Sql;
}

/** How to search for a text that is not empty. */
export function searchFor(q: string): Search {
  const folded = fold(q);
  if (untold.test(folded)) return { folded };
  const chars = Array.from(folded);
  if (chars.length >= termLength) {
    return {
      folded,
      hits: chars.length <= maxPhraseLength
        ? matching(quoted(folded))
        : undefined,
      candidates: matching(candidateTerms(chars).map(quoted).join(" AND ")),
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

/** Terms from all over a text, its first and its last among them. */
function candidateTerms(chars: readonly string[]): string[] {
  const lastStart = chars.length - termLength;
  const gaps = Math.min(maxCandidateTerms - 1, lastStart);
  return Array.from({ length: gaps + 1 }, (_, index) => {
    const start = Math.round(lastStart * index / Math.max(1, gaps));
    return chars.slice(start, start + termLength).join("");
  });
}

/** What gives the `seq` of the messages that an FTS5 query matches. */
function matching(query: string): Sql {
  return sql`SELECT rowid AS seq FROM search WHERE search MATCH ${query}`;
}

/** A string of FTS5's query language. */
function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
