import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  senderHour,
  termsFrom,
} from "../../../lib/store/sqlite/sender_hours.ts";

function termOf(db: DatabaseSync, sender: string, ms: number): string {
  return db.prepare(
    `SELECT ${senderHour.text} AS term
       FROM (SELECT ? AS from_msisdn, ? AS ts_ms)`,
  ).get(sender, ms)!.term as string;
}

Deno.test("termsFrom() encloses the terms of the sender from the instant's hour on", () => {
  using db = new DatabaseSync(":memory:");
  const at = Date.parse("2025-01-15T10:30:00Z");
  const instants = [
    "0000-01-01T00:00:00Z",
    "1969-12-31T23:59:59.999Z",
    "2025-01-15T09:59:59.999Z",
    "2025-01-15T10:00:00Z",
    "2025-01-15T11:00:00Z",
    "9999-12-31T23:59:59.999Z",
  ].map((ts) => Date.parse(ts));
  for (const sender of ["+1", "", "Ünï 😀"]) {
    const terms = instants.map((ms) => termOf(db, sender, ms));
    assert.deepEqual(terms.toSorted(), terms);
    const [first, last] = termsFrom(sender);
    assert(terms.every((term) => term >= first && term <= last));
    const [since] = termsFrom(sender, at);
    assert.deepEqual(
      terms.map((term) => term >= since),
      instants.map((ms) => ms >= Date.parse("2025-01-15T10:00:00Z")),
    );
  }
});

Deno.test("termsFrom() leaves out senders whose name begins with the sender's", () => {
  using db = new DatabaseSync(":memory:");
  const [first, last] = termsFrom("+1");
  for (const other of ["+", "+10", "+1x", "+1\u{10ffff}"]) {
    const term = termOf(db, other, 0);
    assert(term < first || term > last, other);
  }
});
