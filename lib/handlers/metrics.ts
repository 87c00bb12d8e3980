/**
 * `GET /metrics`: the Prometheus scrape target.
 *
 * @module
 */

import type { Handler } from "./handler.ts";

/** All metrics as text. */
export const getMetrics: Handler = async (_exchange, { metrics }) =>
  new Response(await metrics.text(), {
    headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
  });
