/**
 * SQL with the values that go with it.
 *
 * @module
 */

import type { SQLInputValue } from "node:sqlite";

/** SQL, and the values of its parameters in order. */
export interface Sql {
  readonly text: string;
  readonly values: readonly SQLInputValue[];
}

/**
 * Makes SQL of a template: values become parameters, SQL stays SQL.
 *
 * @example
 * ```ts
 * const filter = sql`WHERE seq > ${12}`;
 * sql`SELECT text FROM messages ${filter}`;
 * // { text: "SELECT text FROM messages WHERE seq > ?", values: [12] }
 * ```
 */
export function sql(
  strings: TemplateStringsArray,
  ...parts: readonly (SQLInputValue | Sql)[]
): Sql {
  let text = strings[0];
  const values: SQLInputValue[] = [];
  parts.forEach((part, index) => {
    if (isSql(part)) {
      text += part.text;
      values.push(...part.values);
    } else {
      text += "?";
      values.push(part);
    }
    text += strings[index + 1];
  });
  return { text, values };
}

/** SQL without parameters. */
export function raw(text: string): Sql {
  return { text, values: [] };
}

/** `WHERE` with those conditions that are there, or nothing. */
export function where(...conditions: readonly (Sql | undefined)[]): Sql {
  const given = conditions.filter((condition) => condition !== undefined);
  return {
    text: given.length === 0
      ? ""
      : `WHERE ${given.map(({ text }) => text).join(" AND ")}`,
    values: given.flatMap(({ values }) => values),
  };
}

function isSql(part: SQLInputValue | Sql): part is Sql {
  return typeof part === "object" && part !== null && "text" in part;
}
