/**
 * JSON as it was written. `JSON.parse()` rounds large numbers, drops all but the
 * last of equal keys and forgets how a value was written; what is kept for later
 * must be the sender's own text.
 *
 * @module
 */

import type { FieldError } from "./validation.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What {@linkcode parseJson} makes of a body. */
export type ParsedJson =
  | {
    readonly ok: true;
    /** The body's text, which is valid JSON. */
    readonly text: string;
    readonly value: unknown;
  }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/**
 * Decodes and parses a body. A byte order mark is an error: RFC 8259, section
 * 8.1, forbids sending one.
 */
export function parseJson(bytes: Uint8Array): ParsedJson {
  try {
    const text = utf8.decode(bytes);
    return { ok: true, text, value: JSON.parse(text) };
  } catch (error) {
    // In words of our own: an engine's would quote what was sent.
    const msg = error instanceof SyntaxError
      ? "Body should be valid JSON"
      : "Body should be valid UTF-8";
    return {
      ok: false,
      errors: [{ type: "json_invalid", loc: ["body"], msg }],
    };
  }
}

/**
 * The texts of an object's members by key; of equal keys the last counts, as
 * with `JSON.parse()`.
 *
 * @param json Valid JSON.
 * @returns `undefined` if it is no object.
 */
export function membersOf(
  json: string | undefined,
): Map<string, string> | undefined {
  if (json === undefined || firstChar(json) !== "{") return undefined;
  const members = new Map<string, string>();
  let pos = skipSpace(json, json.indexOf("{") + 1);
  while (json[pos] !== "}") {
    const keyEnd = skipString(json, pos);
    const key: string = JSON.parse(json.slice(pos, keyEnd));
    const start = skipSpace(json, skipSpace(json, keyEnd) + 1);
    const end = skipValue(json, start);
    members.set(key, json.slice(start, end));
    pos = skipSpace(json, skipSpace(json, end), ",");
  }
  return members;
}

/**
 * The texts of an array's elements.
 *
 * @param json Valid JSON.
 * @returns `undefined` if it is no array.
 */
export function elementsOf(json: string | undefined): string[] | undefined {
  if (json === undefined || firstChar(json) !== "[") return undefined;
  const elements: string[] = [];
  let pos = skipSpace(json, json.indexOf("[") + 1);
  while (json[pos] !== "]") {
    const end = skipValue(json, pos);
    elements.push(json.slice(pos, end));
    pos = skipSpace(json, skipSpace(json, end), ",");
  }
  return elements;
}

/**
 * The same value always as the same text: no spaces, keys in order, strings with
 * the fewest escapes. Numbers stay as written, so that none is rounded.
 *
 * @param json Valid JSON.
 * @param depth Deeper than this the text stays as it is; it bounds the work.
 */
export function canonicalJson(json: string, depth = 32): string {
  const members = depth > 0 ? membersOf(json) : undefined;
  if (members !== undefined) {
    const sorted = Array.from(members).sort(([a], [b]) => a < b ? -1 : 1);
    const pairs = sorted.map(([key, member]) =>
      `${JSON.stringify(key)}:${canonicalJson(member, depth - 1)}`
    );
    return `{${pairs.join(",")}}`;
  }
  const elements = depth > 0 ? elementsOf(json) : undefined;
  if (elements !== undefined) {
    const texts = elements.map((element) => canonicalJson(element, depth - 1));
    return `[${texts.join(",")}]`;
  }
  const scalar = json.trim();
  return scalar.startsWith('"') ? JSON.stringify(JSON.parse(scalar)) : scalar;
}

function firstChar(json: string): string {
  return json[skipSpace(json, 0)];
}

/** The first position from `pos` on that holds no white space (nor `also`). */
function skipSpace(json: string, pos: number, also = " "): number {
  let char = json[pos];
  while (
    char === " " || char === "\n" || char === "\r" || char === "\t" ||
    char === also
  ) char = json[++pos];
  return pos;
}

/** The position behind the string that starts at `pos`. */
function skipString(json: string, pos: number): number {
  for (;;) {
    const char = json[++pos];
    if (char === "\\") pos++;
    else if (char === '"') return pos + 1;
  }
}

const scalar = /[^\s,\]}]+/y;

/** The position behind the value that starts at `pos`, however deep it is. */
function skipValue(json: string, pos: number): number {
  let depth = 0;
  do {
    const char = json[pos];
    if (char === '"') {
      pos = skipString(json, pos);
    } else if (char === "{" || char === "[") {
      depth++;
      pos++;
    } else if (char === "}" || char === "]") {
      depth--;
      pos++;
    } else if (depth > 0) {
      pos++;
    } else {
      scalar.lastIndex = pos;
      scalar.test(json);
      pos = scalar.lastIndex;
    }
  } while (depth > 0);
  return pos;
}
