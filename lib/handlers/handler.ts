/**
 * What a handler gets and gives.
 *
 * @module
 */

import type { BodyReader } from "../body.ts";
import type { Counter, Metrics } from "../metrics.ts";
import type { Store } from "../store/store.ts";

/** What all requests share. */
export interface Service {
  /** The key of `X-Signature`, or `undefined` without a secret. */
  readonly webhookKey: CryptoKey | undefined;
  readonly store: Store;
  readonly bodies: BodyReader;
  readonly metrics: Metrics;
  readonly webhookRequests: Counter;
  /** `true` as soon as shutdown begins. */
  isStopping(): boolean;
}

/** One request on its way to an answer. */
export interface Exchange {
  readonly request: Request;
  readonly query: URLSearchParams;
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

/** A 503 that asks the client to come again. */
export function unavailableResponse(detail: string): Response {
  return errorResponse(503, detail, { "retry-after": "1" });
}
