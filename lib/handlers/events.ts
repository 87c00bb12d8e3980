/**
 * `GET /events`: what was delivered besides messages.
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

const querySchema = z.object({
  ...listParameters,
  kind: filter,
  message_id: filter,
});

/** Lists events by instant. */
export const listEvents: Handler = async ({ query }, { store }) => {
  const parsed = parseQuery(query, querySchema);
  if (!parsed.ok) return errorResponse(422, parsed.errors);
  const { limit, offset, since: sinceMs, kind, message_id: messageId } =
    parsed.parameters;
  const { data, total } = await store.listEvents(
    { kind, sinceMs, messageId },
    limit,
    offset,
  );
  const events = data.map(({ payload, ...event }) =>
    rawJson(event, { payload })
  );
  const body = `{"data":[${events.join(",")}],"total":${total},` +
    `"limit":${limit},"offset":${offset}}`;
  return jsonResponse(body);
};
