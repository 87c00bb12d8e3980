import assert from "node:assert/strict";
import { raw, sql, where } from "../../../lib/store/sqlite/sql.ts";

Deno.test("sql`` makes parameters of values and takes SQL as it is", () => {
  const condition = sql`a = ${"x'"} AND b > ${1}`;
  assert.deepEqual(
    sql`SELECT ${raw("c")} FROM t WHERE ${condition} LIMIT ${2}`,
    {
      text: "SELECT c FROM t WHERE a = ? AND b > ? LIMIT ?",
      values: ["x'", 1, 2],
    },
  );
  assert.deepEqual(sql`SELECT ${null}`, { text: "SELECT ?", values: [null] });
});

Deno.test("where() joins the conditions that are there, and is empty without any", () => {
  assert.deepEqual(where(sql`a = ${1}`, undefined, sql`b = ${2}`), {
    text: "WHERE a = ? AND b = ?",
    values: [1, 2],
  });
  assert.deepEqual(where(undefined), { text: "", values: [] });
});
