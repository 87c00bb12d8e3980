/**
 * What a message is, and when a delivered body is a valid one.
 *
 * @module
 */

import * as z from "zod";
import { parseUtcInstant } from "./instant.ts";
import {
  type FieldError,
  fieldErrors,
  type Rule,
  stringWith,
} from "./validation.ts";

/** A message as it was delivered. */
export interface Message {
  /** Unique; 1 to 512 code points. */
  readonly message_id: string;
  /** The sender, `+` and 1 to 32 digits. */
  readonly from: string;
  /** The recipient, in the same form. */
  readonly to: string;
  /** When it was sent: an ISO-8601 instant in UTC, as the sender wrote it. */
  readonly ts: string;
  /** At most 4096 code points, or `null` for a message without text. */
  readonly text: string | null;
}

/** What {@linkcode parseMessage} makes of a body. */
export type ParsedMessage =
  | { readonly ok: true; readonly message: Message }
  | {
    readonly ok: false;
    readonly errors: readonly FieldError[];
    /** The `message_id`, if at least that was valid. */
    readonly messageId?: string;
  };

const messageIdMaxCodePoints = 512;
const textMaxCodePoints = 4096;

/** `true` if the text has at most `max` code points. */
function hasAtMostCodePoints(text: string, max: number): boolean {
  // A code point is one or two UTF-16 units, so most texts need no counting.
  if (text.length <= max) return true;
  if (text.length > 2 * max) return false;
  let codePoints = 0;
  for (const _ of text) codePoints++;
  return codePoints <= max;
}

function textOf(maxCodePoints: number): Rule[] {
  return [
    [
      "string_too_long",
      `String should have at most ${maxCodePoints} characters`,
      (value) => hasAtMostCodePoints(value, maxCodePoints),
    ],
    [
      "string_unicode",
      "String should be well-formed Unicode without NUL",
      (value) => value.isWellFormed() && !value.includes("\0"),
    ],
  ];
}

const msisdn = stringWith([
  "string_pattern_mismatch",
  "String should be '+' and 1 to 32 digits",
  // Without the m flag, $ matches at the very end only, not before a newline.
  (value) => /^\+[0-9]{1,32}$/.test(value),
]);

const messageSchema = z.object({
  message_id: stringWith(
    [
      "string_too_short",
      "String should have at least 1 character",
      (value) => value !== "",
    ],
    ...textOf(messageIdMaxCodePoints),
  ),
  from: msisdn,
  to: msisdn,
  ts: stringWith([
    "datetime_parsing",
    "String should be an existing instant in UTC: YYYY-MM-DDTHH:MM:SS, an optional fraction, then Z",
    (value) => parseUtcInstant(value) !== undefined,
  ]),
  text: stringWith(...textOf(textMaxCodePoints)).nullish(),
});

// ignoreBOM keeps a byte order mark in the text, where JSON.parse() refuses it:
// RFC 8259, section 8.1, forbids sending one.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads the body of a delivery.
 *
 * @param bytes The body as received; anything at all.
 * @returns The message, or everything that is wrong with the body. Never throws.
 */
export function parseMessage(bytes: Uint8Array): ParsedMessage {
  let body: unknown;
  try {
    body = JSON.parse(utf8.decode(bytes));
  } catch (error) {
    // Two messages of our own: an engine's would quote what was sent.
    const msg = error instanceof SyntaxError
      ? "Body should be valid JSON"
      : "Body should be valid UTF-8";
    return {
      ok: false,
      errors: [{ type: "json_invalid", loc: ["body"], msg }],
    };
  }
  const parsed = messageSchema.safeParse(body);
  if (parsed.success) {
    const { message_id, from, to, ts, text } = parsed.data;
    return {
      ok: true,
      message: { message_id, from, to, ts, text: text ?? null },
    };
  }
  const id = messageSchema.shape.message_id.safeParse(
    (body as { message_id?: unknown } | null)?.message_id,
  );
  return {
    ok: false,
    errors: fieldErrors("body", body, parsed.error),
    messageId: id.data,
  };
}
