/**
 * The lines of an import: what `export` wrote, or messages in the simple format.
 *
 * @module
 */

import * as z from "zod";
import { parseUtcInstant } from "./instant.ts";
import { membersOf, parseJson } from "./json.ts";
import { type Delivery, isMessageId, isStorable } from "./message.ts";
import type { ParsedBody } from "./providers/provider.ts";
import { simple } from "./providers/simple.ts";
import { fieldErrors, type Rule, stringWith } from "./validation.ts";

const storable: Rule = [
  "string_unicode",
  "String should be well-formed Unicode without NUL",
  isStorable,
];

const instant = stringWith([
  "datetime_parsing",
  "String should be an existing instant in UTC: YYYY-MM-DDTHH:MM:SS, an optional fraction, then Z",
  (value) => parseUtcInstant(value) !== undefined,
]);

const messageId = stringWith([
  "string_pattern_mismatch",
  "String should be 1 to 512 characters of well-formed Unicode without NUL",
  isMessageId,
]);

const name = stringWith(
  ["string_too_short", "String should not be empty", (value) => value !== ""],
  storable,
);

const json = stringWith(storable, [
  "json_invalid",
  "String should be valid JSON",
  isJson,
]);

/** Unlike in the simple format, what a provider left out is "" or `null`. */
const messageRecord = z.object({
  message_id: messageId,
  from: stringWith(storable),
  to: stringWith(storable),
  ts: instant,
  text: stringWith(storable).nullable(),
  type: name,
  contact_name: stringWith(storable).nullable(),
  payload: json.nullable(),
  received_at: instant,
});

const eventRecord = z.object({
  event_id: stringWith([
    "string_pattern_mismatch",
    "String should be 64 hex digits in lower case",
    (value) => /^[0-9a-f]{64}$/.test(value),
  ]),
  kind: name,
  message_id: messageId.nullable(),
  ts: instant,
  payload: json,
  received_at: instant,
}).refine(
  // Whoever looks the message up is told what is in it.
  ({ message_id, payload }) =>
    message_id === null || membersOf(payload) !== undefined,
  {
    error: "String should be a JSON object, as every status is",
    params: { type: "dict_type" },
    path: ["payload"],
  },
);

/**
 * Reads a line. One with `event_id` is an event of an export, one with `type` a
 * message of an export; any other is a message in the simple format.
 */
export function parseRecord(bytes: Uint8Array): ParsedBody {
  const json = parseJson(bytes);
  if (!json.ok) return json;
  const { value } = json;
  const isObject = typeof value === "object" && value !== null;
  if (isObject && "event_id" in value) {
    return parsed(value, eventRecord, ({ received_at, ...event }) => ({
      messages: [],
      events: [event],
      receivedAt: received_at,
    }));
  }
  if (isObject && "type" in value) {
    return parsed(value, messageRecord, ({ received_at, ...message }) => ({
      messages: [message],
      events: [],
      receivedAt: received_at,
    }));
  }
  return simple.parse(bytes);
}

function parsed<T>(
  value: unknown,
  schema: z.ZodType<T>,
  toDelivery: (record: T) => Delivery,
): ParsedBody {
  const { data, error } = schema.safeParse(value);
  return error === undefined
    ? { ok: true, delivery: toDelivery(data) }
    : { ok: false, errors: fieldErrors("body", value, error) };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
