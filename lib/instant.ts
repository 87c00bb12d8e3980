/**
 * Instants in ISO-8601 form, as messages carry them and queries ask for them.
 *
 * @module
 */

const instantPattern =
  /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:?\d{2})$/;

/**
 * Reads an ISO-8601 instant: `YYYY-MM-DDTHH:MM:SS`, an optional fraction of any
 * length, then `Z` or an offset (`+05:30`, `-0800`).
 *
 * @returns Milliseconds since the Unix epoch, finer fractions cut off, or
 * `undefined` if the text has another form or names no existing instant
 * (30 February, 24:00, a leap second).
 *
 * @example
 * ```ts
 * parseInstant("2025-01-15T15:30:00+05:30"); // 1736935200000
 * ```
 */
export function parseInstant(text: string): number | undefined {
  const match = instantPattern.exec(text);
  if (match === null) return undefined;
  const [, seconds, fraction = "", zone] = match;
  const wholeMs = Date.parse(`${seconds}Z`);
  // Date.parse() rolls 30 February over into March and takes 24:00: only a date
  // that comes back as it went in exists.
  if (
    Number.isNaN(wholeMs) ||
    new Date(wholeMs).toISOString().slice(0, 19) !== seconds
  ) return undefined;
  const offsetMs = parseOffset(zone);
  if (offsetMs === undefined) return undefined;
  return wholeMs + Number(fraction.slice(0, 3).padEnd(3, "0")) - offsetMs;
}

/**
 * Reads an instant that is written in UTC, with a final `Z`.
 *
 * @returns As {@linkcode parseInstant}, and `undefined` for any other offset.
 */
export function parseUtcInstant(text: string): number | undefined {
  return text.endsWith("Z") ? parseInstant(text) : undefined;
}

function parseOffset(zone: string): number | undefined {
  if (zone === "Z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(-2));
  if (hours > 23 || minutes > 59) return undefined;
  const offsetMs = (hours * 60 + minutes) * 60_000;
  return zone[0] === "-" ? -offsetMs : offsetMs;
}
