/**
 * The simple format: one message per body, `X-Signature` over its bytes.
 *
 * @module
 */

import * as z from "zod";
import { parseUtcInstant } from "../instant.ts";
import { parseJson } from "../json.ts";
import {
  hasAtMostCodePoints,
  isStorable,
  messageIdMaxCodePoints,
} from "../message.ts";
import { hmacVerifier } from "../signature.ts";
import { fieldErrors, type Rule, stringWith } from "../validation.ts";
import type { ParsedBody, Provider } from "./provider.ts";

const textMaxCodePoints = 4096;

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
      isStorable,
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

function parse(bytes: Uint8Array): ParsedBody {
  const json = parseJson(bytes);
  if (!json.ok) return json;
  const parsed = messageSchema.safeParse(json.value);
  if (parsed.success) {
    const message = {
      message_id: parsed.data.message_id,
      from: parsed.data.from,
      to: parsed.data.to,
      ts: parsed.data.ts,
      text: parsed.data.text ?? null,
      type: "text",
      contact_name: null,
      payload: null,
    };
    return { ok: true, delivery: { messages: [message], events: [] } };
  }
  const id = messageSchema.shape.message_id.safeParse(
    (json.value as { message_id?: unknown } | null)?.message_id,
  );
  return {
    ok: false,
    errors: fieldErrors("body", json.value, parsed.error),
    messageId: id.data,
  };
}

/** Whoever can sign with `X-Signature`. */
export const simple: Provider = {
  name: "simple",
  path: "/webhook",
  maxBodyBytes: 1 << 20,
  secretVariables: ["WEBHOOK_SECRET", "WEBHOOK_SECRET_PREVIOUS"],
  isRequired: true,

  verifier(secrets) {
    return hmacVerifier(
      secrets.WEBHOOK_SECRET,
      secrets.WEBHOOK_SECRET_PREVIOUS,
      (request) => request.headers.get("x-signature"),
    );
  },

  parse,
};
