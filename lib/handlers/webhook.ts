/**
 * Webhooks: signed deliveries of every provider.
 *
 * @module
 */

import { BodyError } from "../body.ts";
import type { Provider } from "../providers/provider.ts";
import { StoreUnavailable } from "../store/store.ts";
import {
  errorResponse,
  type Exchange,
  type Handler,
  type Service,
  unavailableResponse,
} from "./handler.ts";
import type { WebhookResult } from "./webhook_metrics.ts";

const resultsByBodyStatus = {
  400: "incomplete_body",
  408: "incomplete_body",
  413: "too_large",
  503: "unavailable",
} as const;

/** Stores a provider's deliveries; each gets its 200 once it is on disk. */
export function receiveFrom(provider: Provider): Handler {
  return async (exchange, service) => {
    let result: WebhookResult = "error";
    try {
      const [outcome, response] = await receive(provider, exchange, service);
      result = outcome;
      return response;
    } catch (error) {
      if (error instanceof StoreUnavailable) result = "unavailable";
      if (error instanceof BodyError) {
        result = resultsByBodyStatus[error.status];
      }
      throw error;
    } finally {
      service.webhookMetrics.requests.add([result]);
      service.webhookMetrics.providerRequests.add([provider.name, result]);
      exchange.logFields.provider = provider.name;
      exchange.logFields.dup = result === "duplicate";
      exchange.logFields.result = result;
    }
  };
}

async function receive(
  provider: Provider,
  { request, logFields }: Exchange,
  { verifiers, store, bodies, webhookMetrics, isRefusing }: Service,
): Promise<[WebhookResult, Response]> {
  const verifier = verifiers.get(provider.name);
  if (verifier === undefined && !provider.isRequired) {
    return ["not_configured", errorResponse(404, "Not Found")];
  }
  // Only what was in flight when the shutdown began is still stored.
  if (isRefusing()) throw new StoreUnavailable("closing");
  using body = await bodies.read(request, provider.maxBodyBytes);
  const { bytes } = body;
  if (verifier === undefined) {
    const [variable] = provider.secretVariables;
    return ["unavailable", unavailableResponse(`${variable} is not set`)];
  }
  const verdict = await verifier(request, bytes);
  if (!verdict.ok) {
    logFields.reason = `signature_${verdict.reason}`;
    return ["invalid_signature", errorResponse(401, "invalid signature")];
  }
  if (verdict.withPrevious) webhookMetrics.previousSecret.add([provider.name]);
  const parsed = provider.parse(bytes);
  if (!parsed.ok) {
    logFields.message_id = parsed.messageId;
    return ["validation_error", errorResponse(422, parsed.errors)];
  }
  const { messages, events } = parsed.delivery;
  const rows = messages.length + events.length;
  if (messages.length === 1) logFields.message_id = messages[0].message_id;
  const { newMessages, newEvents } = await store.insert(parsed.delivery);
  const counts = [
    ["message", "created", newMessages],
    ["message", "duplicate", messages.length - newMessages],
    ["event", "created", newEvents],
    ["event", "duplicate", events.length - newEvents],
  ] as const;
  for (const [kind, result, count] of counts) {
    if (count > 0) {
      webhookMetrics.rows.add([provider.name, kind, result], count);
    }
  }
  const created = newMessages + newEvents;
  logFields.new = created;
  logFields.repeats = rows - created;
  return [
    created > 0 ? "created" : "duplicate",
    Response.json({ status: "ok" }),
  ];
}

/** Answers the `GET` with which a provider makes sure that a URL is ours. */
export function shakeHands(provider: Provider): Handler {
  return ({ query }, { secrets }) => {
    const answer = provider.handshake?.(query, secrets);
    if (answer === undefined) return errorResponse(404, "Not Found");
    if (answer === null) return errorResponse(403, "Forbidden");
    return new Response(answer, {
      headers: {
        "content-type": "text/plain; charset=utf-8",
        // The answer is the request's own text: it must never be taken for HTML.
        "x-content-type-options": "nosniff",
      },
    });
  };
}
