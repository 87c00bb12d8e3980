/**
 * `POST /webhook`: signed deliveries in the simple format.
 *
 * @module
 */

import { BodyError } from "../body.ts";
import { parseMessage } from "../message.ts";
import { verify } from "../signature.ts";
import { StoreUnavailable } from "../store/store.ts";
import {
  errorResponse,
  type Exchange,
  type Handler,
  type Service,
  unavailableResponse,
} from "./handler.ts";

/** What can become of a delivery: the log's `result` and the metric's label. */
export const webhookResults = [
  "created",
  "duplicate",
  "invalid_signature",
  "validation_error",
  "too_large",
  "incomplete_body",
  "unavailable",
  "error",
] as const;

type WebhookResult = typeof webhookResults[number];

const maxBodyBytes = 1 << 20;

const resultsByBodyStatus = {
  400: "incomplete_body",
  408: "incomplete_body",
  413: "too_large",
  503: "unavailable",
} as const;

/** Stores a delivery and says so once it is on disk. */
export const webhook: Handler = async (exchange, service) => {
  let result: WebhookResult = "error";
  try {
    const [outcome, response] = await receive(exchange, service);
    result = outcome;
    return response;
  } catch (error) {
    if (error instanceof StoreUnavailable) result = "unavailable";
    if (error instanceof BodyError) result = resultsByBodyStatus[error.status];
    throw error;
  } finally {
    service.webhookRequests.add([result]);
    exchange.logFields.dup = result === "duplicate";
    exchange.logFields.result = result;
  }
};

async function receive(
  { request, logFields }: Exchange,
  { webhookKey, store, bodies, isStopping }: Service,
): Promise<[WebhookResult, Response]> {
  // Only what was in flight when the shutdown began is still stored.
  if (isStopping()) throw new StoreUnavailable("closing");
  const bytes = await bodies.read(request, maxBodyBytes);
  if (webhookKey === undefined) {
    return ["unavailable", unavailableResponse("WEBHOOK_SECRET is not set")];
  }
  const header = request.headers.get("x-signature");
  const verdict = await verify(webhookKey, bytes, header);
  if (!verdict.ok) {
    logFields.reason = `signature_${verdict.reason}`;
    return ["invalid_signature", errorResponse(401, "invalid signature")];
  }
  const parsed = parseMessage(bytes);
  if (!parsed.ok) {
    logFields.message_id = parsed.messageId;
    return ["validation_error", errorResponse(422, parsed.errors)];
  }
  logFields.message_id = parsed.message.message_id;
  const inserted = await store.insert(parsed.message);
  return [inserted, Response.json({ status: "ok" })];
}
