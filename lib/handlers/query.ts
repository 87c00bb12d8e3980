/**
 * Query parameters that several lists take.
 *
 * @module
 */

import * as z from "zod";
import { parseInstant } from "../instant.ts";
import {
  type FieldError,
  fieldErrors,
  type Rule,
  stringWith,
} from "../validation.ts";

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

/** An offset's `+` that was not percent-encoded arrives as a space. */
function restoreOffsetPlus(value: string): string {
  return value.replace(/ (?=[0-9]{2}:?[0-9]{2}$)/, "+");
}

/** A filter; an empty one filters nothing. */
export const filter = z.string().optional().transform((value) =>
  value || undefined
);

/** Parameters of every list: `limit`, `offset`, `since`. */
export const listParameters = {
  limit: integer(1, 100).default(50),
  offset: integer(0, Number.MAX_SAFE_INTEGER).default(0),
  since: stringWith([
    "datetime_parsing",
    "Input should be an ISO-8601 instant with Z or an offset: YYYY-MM-DDTHH:MM:SSZ",
    (value) => parseInstant(restoreOffsetPlus(value)) !== undefined,
  ]).transform((value) => parseInstant(restoreOffsetPlus(value))).optional(),
};

/** Checks a query. Of a parameter given twice the last counts. */
export function parseQuery<T>(
  query: URLSearchParams,
  schema: z.ZodType<T>,
): { ok: true; parameters: T } | { ok: false; errors: FieldError[] } {
  const input = Object.fromEntries(query);
  const parsed = schema.safeParse(input);
  return parsed.success
    ? { ok: true, parameters: parsed.data }
    : { ok: false, errors: fieldErrors("query", input, parsed.error) };
}
