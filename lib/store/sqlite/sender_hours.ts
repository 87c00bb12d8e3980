/**
 * Terms that stand for a sender and an hour in UTC. In their order, which is the
 * index's, a sender's hours follow each other.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { raw } from "./sql.ts";

const hourMs = 3_600_000;
/** The year 0: no instant whose year has four digits is before it. */
const originMs = Date.parse("0000-01-01T00:00:00Z");
const hourDigits = 8;

/** A message's term. It has letters and digits only, whatever the sender is. */
export const senderHour = raw(
  `lower(hex(from_msisdn)) || 'x' ||
   printf('%0${hourDigits}d', (ts_ms - ${originMs}) / ${hourMs})`,
);

/** A sender's first and last term from an instant on, or of all times. */
export function termsFrom(
  sender: string,
  sinceMs = originMs,
): [first: string, last: string] {
  const prefix = `${Buffer.from(sender).toString("hex")}x`;
  const hour = Math.floor(Math.max(0, sinceMs - originMs) / hourMs);
  return [
    prefix + `${hour}`.padStart(hourDigits, "0"),
    prefix + "9".repeat(hourDigits),
  ];
}
