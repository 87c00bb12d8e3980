/**
 * The table of resources: path, method, handler.
 *
 * @module
 */

import type { Handler } from "./handlers/handler.ts";
import { getLive, getReady } from "./handlers/health.ts";
import { listMessages } from "./handlers/messages.ts";
import { getMetrics } from "./handlers/metrics.ts";
import { getStats } from "./handlers/stats.ts";
import { webhook } from "./handlers/webhook.ts";

/** The methods of a resource. HEAD is answered wherever GET is. */
export type Methods = ReadonlyMap<string, Handler>;

/** The resources by path. */
export const routes: ReadonlyMap<string, Methods> = new Map([
  ["/webhook", new Map([["POST", webhook]])],
  ["/messages", readable(listMessages)],
  ["/stats", readable(getStats)],
  ["/health/live", readable(getLive)],
  ["/health/ready", readable(getReady)],
  ["/metrics", readable(getMetrics)],
]);

function readable(handler: Handler): Methods {
  return new Map([["GET", handler], ["HEAD", handler]]);
}
