/**
 * `GET /messages`: the stored messages, filtered and in pages.
 *
 * @module
 */

import * as z from "zod";
import { parseInstant } from "../instant.ts";
import { fieldErrors, type Rule, stringWith } from "../validation.ts";
import { errorResponse, type Handler } from "./handler.ts";

/** An integer within bounds, as the digits of a query parameter. */
function integer(min: number, max: number) {
  const rules: Rule[] = [
    [
      "int_parsing",
      "Input should be a valid integer",
      (value) => /^[+-]?[0-9]+$/.test(value),
    ],
    [
      "greater_than_equal",
      `Input should be greater than or equal to ${min}`,
      (value) => Number(value) >= min,
    ],
    [
      "less_than_equal",
      `Input should be less than or equal to ${max}`,
      (value) => Number(value) <= max,
    ],
  ];
  return stringWith(...rules).transform(Number);
}

/** A `+` that was not percent-encoded arrives as a space. */
function restorePlus(value: string): string {
  return value.replace(/^ (?=[0-9])/, "+");
}

function restoreOffsetPlus(value: string): string {
  return value.replace(/ (?=[0-9]{2}:?[0-9]{2}$)/, "+");
}

const querySchema = z.object({
  limit: integer(1, 100).default(50),
  offset: integer(0, Number.MAX_SAFE_INTEGER).default(0),
  from: z.string().optional().transform((value) =>
    value ? restorePlus(value) : undefined
  ),
  since: stringWith([
    "datetime_parsing",
    "Input should be an ISO-8601 instant with Z or an offset: YYYY-MM-DDTHH:MM:SSZ",
    (value) => parseInstant(restoreOffsetPlus(value)) !== undefined,
  ]).transform((value) => parseInstant(restoreOffsetPlus(value))).optional(),
  q: z.string().optional().transform((value) => value || undefined),
});

/** Lists messages by instant. */
export const listMessages: Handler = async ({ query }, { store }) => {
  const input = Object.fromEntries(query);
  const parsed = querySchema.safeParse(input);
  if (!parsed.success) {
    return errorResponse(422, fieldErrors("query", input, parsed.error));
  }
  const { limit, offset, from, since, q } = parsed.data;
  const page = await store.list({ from, sinceMs: since, q }, limit, offset);
  return Response.json({ ...page, limit, offset });
};
