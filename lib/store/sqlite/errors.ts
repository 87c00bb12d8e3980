/**
 * What SQLite's errors mean for the store.
 *
 * @module
 */

import { StoreUnavailable, type UnavailableReason } from "../store.ts";

/**
 * SQLite's words for its result codes, since `node:sqlite` gives no code with
 * most errors. The words are fixed: https://sqlite.org/c3ref/errcode.html
 */
const reasonsByMessage: readonly [pattern: RegExp, UnavailableReason][] = [
  [/is locked/, "locked"],
  [/is full/, "full"],
  [/disk I\/O error/, "io_error"],
  [/unable to open/, "cannot_open"],
  [/readonly database/, "read_only"],
  [/malformed|is not a database/, "corrupt"],
  // V8's words: 2^29 characters are too many for a string.
  [/Invalid string length/, "too_large"],
];

/** Why an operation of SQLite failed. */
export function reasonOf(error: Error): UnavailableReason {
  const known = reasonsByMessage.find(([pattern]) =>
    pattern.test(error.message)
  );
  return known?.[1] ?? "other";
}

/** Any error as one that callers of the store know. */
export function asUnavailable(error: Error): StoreUnavailable {
  if (error instanceof StoreUnavailable) return error;
  const reason = reasonOf(error);
  return new StoreUnavailable(
    reason,
    reason === "corrupt"
      ? `${error.message}; nothing is written to it: stop the server and restore a backup`
      : error.message,
  );
}
