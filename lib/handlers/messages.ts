/**
 * `GET /messages` and `GET /messages/{message_id}`: the stored messages.
 *
 * @module
 */

import * as z from "zod";
import {
  errorResponse,
  type Handler,
  jsonResponse,
  rawJson,
} from "./handler.ts";
import { filter, listParameters, parseQuery } from "./query.ts";

/** A `+` that was not percent-encoded arrives as a space. */
function restorePlus(value: string | undefined): string | undefined {
  return value?.replace(/^ (?=[0-9])/, "+");
}

const querySchema = z.object({
  ...listParameters,
  from: filter.transform(restorePlus),
  q: filter,
  type: filter,
});

/** Lists messages by instant. */
export const listMessages: Handler = async ({ query }, { store }) => {
  const parsed = parseQuery(query, querySchema);
  if (!parsed.ok) return errorResponse(422, parsed.errors);
  const { limit, offset, since: sinceMs, ...filters } = parsed.parameters;
  const page = await store.listMessages({ ...filters, sinceMs }, limit, offset);
  return Response.json({ ...page, limit, offset });
};

/** Gives one message, with what its provider sent and its delivery statuses. */
export const getMessage: Handler = async ({ parameter }, { store }) => {
  let messageId: string;
  try {
    messageId = decodeURIComponent(parameter);
  } catch {
    return errorResponse(404, "Not Found");
  }
  const details = await store.getMessage(messageId);
  if (details === undefined) return errorResponse(404, "Not Found");
  const { payload, ...message } = details.message;
  return jsonResponse(rawJson(message, {
    payload: payload ?? "null",
    statuses: `[${details.statuses.join(",")}]`,
  }));
};
