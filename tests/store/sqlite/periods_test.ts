import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  dayMs,
  locate,
  minuteMs,
  startOf,
  sumOf,
} from "../../../lib/store/sqlite/periods.ts";

const periods = [
  { key: "a", messages: 2 },
  { key: "b", messages: 1 },
  { key: "d", messages: 3 },
];

Deno.test("locate() finds the period that holds the message when there are so many", () => {
  const found = [0, 1, 2, 3, 5].map((index) => locate(periods, index));
  assert.deepEqual(found, [
    { key: "a", index: 0 },
    { key: "a", index: 1 },
    { key: "b", index: 0 },
    { key: "d", index: 0 },
    { key: "d", index: 2 },
  ]);
});

Deno.test("locate() gives undefined when there are fewer messages", () => {
  assert.equal(locate(periods, 6), undefined);
  assert.equal(locate([], 0), undefined);
});

Deno.test("sumOf() adds the messages up", () => {
  assert.equal(sumOf(periods), 6);
  assert.equal(sumOf([]), 0);
});

Deno.test("startOf() gives the period's start when the instant is before 1970 as well", () => {
  using db = new DatabaseSync(":memory:");
  const start = (lengthMs: number, ms: number) =>
    db.prepare(
      `SELECT ${startOf(lengthMs).text} AS start FROM (SELECT ? AS ts_ms)`,
    )
      .get(ms)!.start;
  assert.equal(start(minuteMs, 119_999), 60_000);
  assert.equal(start(minuteMs, 0), 0);
  assert.equal(start(minuteMs, -1), -60_000);
  assert.equal(start(dayMs, -dayMs), -dayMs);
  assert.equal(
    start(dayMs, Date.parse("0000-01-01T23:59:59.999Z")),
    Date.parse("0000-01-01T00:00:00Z"),
  );
});
