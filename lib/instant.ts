/**
 * Instants in ISO-8601 form, as messages carry them and queries ask for them.
 *
 * @module
 */

const instantPattern =
  /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})$/;
/** The calendar repeats itself every 400 years. */
const cycleMs = 146_097 * 86_400_000;

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
  if (!instantPattern.test(text)) return undefined;
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  // Each delivery comes through here more than once: Date.parse() and a comparison
  // of what toISOString() makes of it would take five times as long. Date.UTC()
  // takes the years 0 to 99 for others, so it gets the ones of the next cycle.
  const midnightMs = Date.UTC(year + 400, month - 1, day);
  // It rolls 30 February over into March, and month 13 into the next year.
  const exists = new Date(midnightMs).getUTCDate() === day && month >= 1 &&
    month <= 12 && hour <= 23 && minute <= 59 && second <= 59;
  if (!exists) return undefined;
  const isUtc = text.endsWith("Z");
  const zoneStart = isUtc ? text.length - 1 : Math.max(
    text.lastIndexOf("+"),
    text.lastIndexOf("-"),
  );
  const offsetMs = isUtc ? 0 : parseOffset(text.slice(zoneStart));
  if (offsetMs === undefined) return undefined;
  const fractionMs = Number(
    text.slice(20, zoneStart).slice(0, 3).padEnd(3, "0"),
  );
  return midnightMs - cycleMs + ((hour * 60 + minute) * 60 + second) * 1000 +
    fractionMs - offsetMs;
}

/**
 * Reads an instant that is written in UTC, with a final `Z`.
 *
 * @returns As {@linkcode parseInstant}, and `undefined` for any other offset.
 */
export function parseUtcInstant(text: string): number | undefined {
  return text.endsWith("Z") ? parseInstant(text) : undefined;
}

function twoDigits(text: string, pos: number): number {
  return text.charCodeAt(pos) * 10 + text.charCodeAt(pos + 1) - 11 * 0x30;
}

function parseOffset(zone: string): number | undefined {
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(-2));
  if (hours > 23 || minutes > 59) return undefined;
  const offsetMs = (hours * 60 + minutes) * 60_000;
  return zone[0] === "-" ? -offsetMs : offsetMs;
}
