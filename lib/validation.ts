/**
 * Validation errors in the shape FastAPI gives them, which clients of such
 * services know: `{"type": "missing", "loc": ["body", "from"], "msg": "..."}`.
 *
 * @module
 */

import * as z from "zod";

/** One invalid field of a body or a query. */
export interface FieldError {
  /** A machine-readable reason, by the names pydantic uses. */
  readonly type: string;
  /** Where: `body` or `query`, then the field's name. */
  readonly loc: readonly string[];
  /** The reason for people. */
  readonly msg: string;
}

/** The `type` and `msg` of a {@linkcode FieldError}, and the test a valid value passes. */
export type Rule = readonly [
  type: string,
  msg: string,
  test: (value: string) => boolean,
];

/** A string that passes every rule; only the first rule that fails is reported. */
export function stringWith(
  ...rules: readonly Rule[]
): z.ZodType<string, string> {
  return rules.reduce(
    (schema, [type, error, test]) =>
      schema.refine(test, { error, params: { type }, abort: true }),
    z.string(),
  );
}

/** All the errors zod found in a body or a query, one per field. */
export function fieldErrors(
  part: "body" | "query",
  input: unknown,
  error: z.ZodError,
): FieldError[] {
  return error.issues.map((issue) => {
    const loc = [part, ...issue.path.map(String)];
    if (issue.code === "custom") {
      return { type: issue.params?.type, loc, msg: issue.message };
    }
    const field = issue.path[0];
    if (field === undefined) {
      return { type: "dict_type", loc, msg: "Input should be a JSON object" };
    }
    const missing =
      (input as Record<PropertyKey, unknown>)[field] === undefined;
    return missing
      ? { type: "missing", loc, msg: "Field required" }
      : { type: "string_type", loc, msg: "Input should be a string" };
  });
}
