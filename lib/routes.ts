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
const parameterRoutes = Array.from(routes)
  .filter(([route]) => route.endsWith("}"))
  .map(([route, methods]) =>
    [route.slice(0, route.indexOf("{")), route, methods] as const
  );

/** What a path leads to. */
export interface Match {
  readonly route: string;
  readonly methods: Methods;
  /** What the path has where the route has a parameter. */
  readonly parameter: string;
}

/** Finds the resource of a path. */
export function matchRoute(path: string): Match | undefined {
  const methods = path.endsWith("}") ? undefined : routes.get(path);
  if (methods !== undefined) return { route: path, methods, parameter: "" };
  for (const [prefix, route, methods] of parameterRoutes) {
    if (path.startsWith(prefix) && path.length > prefix.length) {
      return { route, methods, parameter: path.slice(prefix.length) };
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
