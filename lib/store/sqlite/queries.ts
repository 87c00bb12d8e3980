/**
 * Queries of one connection, and pages of what they give.
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Page } from "../store.ts";
import { raw, type Sql, sql } from "./sql.ts";

/** A table that is listed by instant, then by a key. */
export interface List {
  readonly table: Sql;
  readonly key: Sql;
  readonly columns: Sql;
}

/** Asks a connection; each query is prepared once. */
export class Queries {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** A page of what a query gives the keys of, read from the nearer end. */
  page<Item>(
    list: List,
    matching: Sql,
    total: number,
    limit: number,
    offset: number,
  ): Page<Item> {
    const size = Math.max(0, Math.min(limit, total - offset));
    // OFFSET steps over every row before the page.
    const behind = total - offset - size;
    const data = behind < offset
      ? this.read<Item>(list, matching, "DESC", size, behind)
      : this.read<Item>(list, matching, "ASC", size, offset);
    return { data, total };
  }

  /**
   * Some of what a query gives the keys of, in order.
   *
   * @param direction From which end `offset` counts.
   */
  read<Item>(
    { table, key, columns }: List,
    matching: Sql,
    direction: "ASC" | "DESC",
    limit: number,
    offset: number,
  ): Item[] {
    return this.all<Item>(
      sql`SELECT ${columns}
            FROM (${matching}
                  ORDER BY ts_ms ${raw(direction)}, ${key} ${raw(direction)}
                  LIMIT ${limit} OFFSET ${offset})
                 CROSS JOIN ${table} USING (seq, ts_ms, ${key})
           ORDER BY ts_ms, ${key}`,
    );
  }

  /** How many rows a query gives. */
  count(matching: Sql): number {
    return this.number(sql`SELECT count(*) FROM (${matching})`);
  }

  /** The first column of the first row, or 0 if there is none. */
  number(query: Sql): number {
    const [row] = this.all<Record<string, number>>(query);
    return row === undefined ? 0 : Object.values(row)[0];
  }

  /** All rows of a query. */
  all<Row>({ text, values }: Sql): Row[] {
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = this.#db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement.all(...values) as Row[];
  }
}
