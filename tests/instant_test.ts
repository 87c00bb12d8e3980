import assert from "node:assert/strict";
import { parseInstant, parseUtcInstant } from "../lib/instant.ts";

const noonMs = Date.UTC(2025, 0, 15, 12);

const instants: [text: string, ms: number][] = [
  ["2025-01-15T12:00:00Z", noonMs],
  ["2025-01-15T12:00:00.5Z", noonMs + 500],
  ["2025-01-15T12:00:00.07Z", noonMs + 70],
  ["2025-01-15T12:00:00.000Z", noonMs],
  ["2025-01-15T12:00:00.999999999999Z", noonMs + 999],
  [`2025-01-15T12:00:00.${"1".repeat(10_000)}Z`, noonMs + 111],
  ["1970-01-01T00:00:00Z", 0],
  ["1969-12-31T23:59:59.250Z", -750],
  ["2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29)],
  ["2000-02-29T00:00:00Z", Date.UTC(2000, 1, 29)],
  ["0000-01-01T00:00:00Z", -62_167_219_200_000],
  ["9999-12-31T23:59:59.999Z", 253_402_300_799_999],
];

const offsets: [text: string, ms: number][] = [
  ["2025-01-15T17:30:00+05:30", noonMs],
  ["2025-01-15T17:30:00.250+0530", noonMs + 250],
  ["2025-01-15T04:00:00-08:00", noonMs],
  ["2025-01-15T12:00:00+00:00", noonMs],
  ["2025-01-15T12:00:00-00:00", noonMs],
  ["2025-01-16T11:59:00+23:59", noonMs],
  ["2025-01-01T00:30:00+01:00", Date.UTC(2024, 11, 31, 23, 30)],
];

const noInstants = [
  "",
  "Z",
  "1736942400",
  "2025-01-15",
  "2025-01-15T12:00Z",
  "2025-01-15T12:00:00",
  "2025-01-15 12:00:00Z",
  "2025-01-15t12:00:00Z",
  "2025-01-15T12:00:00z",
  " 2025-01-15T12:00:00Z",
  "2025-01-15T12:00:00Z ",
  "2025-01-15T12:00:00Z\n",
  "2025-01-15T12:00:00\nZ",
  "2025-01-15T12:00:00.Z",
  "2025-01-15T12:00:00,5Z",
  "2025-01-15T12:00:00.5.5Z",
  "2025-01-15T12:00:00ZZ",
  "2025-01-15T12:00:00Z+00:00",
  "25-01-15T12:00:00Z",
  "2025-1-15T12:00:00Z",
  "+002025-01-15T12:00:00Z",
  "-000001-01-15T12:00:00Z",
  "2025-W03-3T12:00:00Z",
  "٢٠٢٥-01-15T12:00:00Z",
  // No such date or time.
  "2025-00-15T12:00:00Z",
  "2025-13-15T12:00:00Z",
  "2025-01-00T12:00:00Z",
  "2025-01-32T12:00:00Z",
  "2025-02-29T12:00:00Z",
  "1900-02-29T12:00:00Z",
  "2024-02-30T12:00:00Z",
  "2025-04-31T12:00:00Z",
  "2025-01-15T24:00:00Z",
  "2025-01-15T12:60:00Z",
  "2016-12-31T23:59:60Z",
  // No such offset.
  "2025-01-15T12:00:00+05",
  "2025-01-15T12:00:00+5:30",
  "2025-01-15T12:00:00+24:00",
  "2025-01-15T12:00:00-05:60",
  "2025-01-15T12:00:00\u221205:00",
];

Deno.test("parseInstant() gives the milliseconds when the instant is in UTC", () => {
  for (const [text, ms] of instants) assert.equal(parseInstant(text), ms, text);
});

Deno.test("parseInstant() subtracts the offset when there is one", () => {
  for (const [text, ms] of offsets) assert.equal(parseInstant(text), ms, text);
});

Deno.test("parseInstant() gives undefined when the form is another or no such instant exists", () => {
  for (const text of noInstants) {
    assert.equal(parseInstant(text), undefined, JSON.stringify(text));
  }
});

Deno.test("parseUtcInstant() gives the milliseconds when the instant ends in Z", () => {
  for (const [text, ms] of instants) {
    assert.equal(parseUtcInstant(text), ms, text);
  }
});

Deno.test("parseUtcInstant() gives undefined when there is an offset or no instant", () => {
  for (const text of [...offsets.map(([text]) => text), ...noInstants]) {
    assert.equal(parseUtcInstant(text), undefined, JSON.stringify(text));
  }
});
