/**
 * Periods of time whose messages are counted: to find the one that holds the
 * message with a certain index takes no look at the messages.
 *
 * @module
 */

import { raw, type Sql } from "./sql.ts";

/** The lengths of the periods: days and minutes in UTC. */
export const dayMs = 86_400_000;
export const minuteMs = 60_000;

/** SQL for the start of `ts_ms`'s period; the remainder is negative before 1970. */
export function startOf(lengthMs: number): Sql {
  return raw(`ts_ms - (ts_ms % ${lengthMs} + ${lengthMs}) % ${lengthMs}`);
}

/** A period, by any key that puts periods in order, and how many messages it has. */
export interface Period<Key> {
  readonly key: Key;
  readonly messages: number;
}

/** How many messages several periods have. */
export function sumOf(periods: readonly Period<unknown>[]): number {
  return periods.reduce((sum, { messages }) => sum + messages, 0);
}

/**
 * Finds the period that holds the message with an index.
 *
 * @param periods In their order.
 * @returns Its key and the message's index in it, or `undefined` if there are not
 * so many messages.
 */
export function locate<Key>(
  periods: readonly Period<Key>[],
  index: number,
): { readonly key: Key; readonly index: number } | undefined {
  let before = 0;
  for (const { key, messages } of periods) {
    if (index < before + messages) return { key, index: index - before };
    before += messages;
  }
  return undefined;
}
