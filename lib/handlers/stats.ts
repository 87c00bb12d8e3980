/**
 * `GET /stats`: figures over all messages.
 *
 * @module
 */

import type { Handler } from "./handler.ts";

/** Counts messages and senders. */
export const getStats: Handler = async (_exchange, { store }) =>
  Response.json(await store.stats());
