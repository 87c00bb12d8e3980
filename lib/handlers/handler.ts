/**
 * What a handler gets and gives.
 *
 * @module
 */

import type { BodyReader } from "../body.ts";
import type { Metrics } from "../metrics.ts";
import type { Secrets } from "../providers/provider.ts";
import type { Verifier } from "../signature.ts";
import type { Store } from "../store/store.ts";
import type { WebhookMetrics } from "./webhook_metrics.ts";

/** What all requests share. */
export interface Service {
  /** The providers that can be verified, by name. */
  readonly verifiers: ReadonlyMap<string, Verifier>;
  readonly secrets: Secrets;
  readonly store: Store;
  readonly bodies: BodyReader;
  readonly metrics: Metrics;
  readonly webhookMetrics: WebhookMetrics;
  /** `true` as soon as shutdown begins: not ready any more. */
  isStopping(): boolean;
  /** `true` when whatever was sent before the shutdown has been read. */
  isRefusing(): boolean;
}

/** One request on its way to an answer. */
export interface Exchange {
  readonly request: Request;
  readonly query: URLSearchParams;
  /** What the path has where its route has a parameter, still percent-encoded. */
  readonly parameter: string;
  /** Fields that the handler adds to the request's log line. */
  readonly logFields: Record<string, unknown>;
}

/**
 * Answers a request. What the store or the body reader throws may pass through:
 * it becomes a 503 or the error's own status, any other error a 500.
 */
export type Handler = (
  exchange: Exchange,
  service: Service,
) => Response | Promise<Response>;

/** The `detail` of an error answer, with its status. */
export function errorResponse(
  status: number,
  detail: unknown,
  headers?: HeadersInit,
): Response {
  return Response.json({ detail }, { status, headers });
}

/**
 * An answer in JSON, some of it as it was stored.
 *
 * @param value The answer but for `raw`'s members.
 * @param raw Members whose values are JSON already.
 */
export function rawJson(
  value: Record<string, unknown>,
  raw: Readonly<Record<string, string>>,
): string {
  const members = Object.entries(raw).map(([key, json]) =>
    `,${JSON.stringify(key)}:${json}`
  );
  return `${JSON.stringify(value).slice(0, -1)}${members.join("")}}`;
}

/** A 200 with a body that is JSON already. */
export function jsonResponse(body: string): Response {
  return new Response(body, {
    headers: { "content-type": "application/json" },
  });
}

/** A 503 that asks the client to come again. */
export function unavailableResponse(detail: string): Response {
  return errorResponse(503, detail, { "retry-after": "1" });
}
