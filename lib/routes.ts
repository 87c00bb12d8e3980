/**
 * The table of resources: path, method, handler.
 *
 * @module
 */

import { listEvents } from "./handlers/events.ts";
import type { Handler } from "./handlers/handler.ts";
import { getLive, getReady } from "./handlers/health.ts";
import { getMessage, listMessages } from "./handlers/messages.ts";
import { getMetrics } from "./handlers/metrics.ts";
import { getStats } from "./handlers/stats.ts";
import { receiveFrom, shakeHands } from "./handlers/webhook.ts";
import type { Provider } from "./providers/provider.ts";
import { providers } from "./providers/providers.ts";

/** The methods of a resource. HEAD is answered wherever GET is. */
export type Methods = ReadonlyMap<string, Handler>;

/** The resources by path; `{name}` at the end stands for any text. */
export const routes: ReadonlyMap<string, Methods> = new Map([
  ...providers.map((provider) =>
    [provider.path, webhook(provider)] as [string, Methods]
  ),
  ["/messages", readable(listMessages)],
  ["/messages/{message_id}", readable(getMessage)],
  ["/events", readable(listEvents)],
  ["/stats", readable(getStats)],
  ["/health/live", readable(getLive)],
  ["/health/ready", readable(getReady)],
  ["/metrics", readable(getMetrics)],
]);

/** The routes that end with a parameter, by what stands before it. */
const parameterRoutes = Array.from(routes.keys())
  .filter((route) => route.endsWith("}"))
  .map((route) => [route.slice(0, route.indexOf("{")), route] as const);

/** A path's route, and what it has where the route has a parameter. */
export function matchRoute(
  path: string,
): { route: string; parameter: string } | undefined {
  if (routes.has(path) && !path.endsWith("}")) {
    return { route: path, parameter: "" };
  }
  for (const [prefix, route] of parameterRoutes) {
    if (path.startsWith(prefix) && path.length > prefix.length) {
      return { route, parameter: path.slice(prefix.length) };
    }
  }
  return undefined;
}

function readable(handler: Handler): Methods {
  return new Map([["GET", handler], ["HEAD", handler]]);
}

function webhook(provider: Provider): Methods {
  return new Map([
    ...(provider.handshake ? readable(shakeHands(provider)) : []),
    ["POST", receiveFrom(provider)],
  ]);
}
