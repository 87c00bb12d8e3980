/**
 * The metrics of deliveries.
 *
 * @module
 */

import { Counter, type Metrics } from "../metrics.ts";
import { providers } from "../providers/providers.ts";

/** What can become of a delivery: the log's `result` and the metrics' label. */
export const webhookResults = [
  "created",
  "duplicate",
  "invalid_signature",
  "validation_error",
  "too_large",
  "incomplete_body",
  "unavailable",
  "not_configured",
  "error",
] as const;

/** One of {@linkcode webhookResults}. */
export type WebhookResult = typeof webhookResults[number];

/** Adds the families of deliveries, all of their series at 0. */
export function addWebhookMetrics(metrics: Metrics) {
  const requests = metrics.add(
    "webhook_requests_total",
    new Counter("Webhook deliveries by what became of them.", ["result"]),
  );
  const providerRequests = metrics.add(
    "webhook_provider_requests_total",
    new Counter("Webhook deliveries by provider and what became of them.", [
      "provider",
      "result",
    ]),
  );
  const rows = metrics.add(
    "webhook_rows_total",
    new Counter("Delivered messages and events, new ones and repeats.", [
      "provider",
      "kind",
      "result",
    ]),
  );
  const previousSecret = metrics.add(
    "webhook_previous_secret_total",
    new Counter("Deliveries signed with the secret before the current one.", [
      "provider",
    ]),
  );
  // Series that are there from the start have a rate from the first event on.
  for (const result of webhookResults) requests.add([result], 0);
  for (const { name } of providers) {
    for (const result of webhookResults) {
      providerRequests.add([name, result], 0);
    }
    for (const kind of ["message", "event"]) {
      rows.add([name, kind, "created"], 0);
      rows.add([name, kind, "duplicate"], 0);
    }
    previousSecret.add([name], 0);
  }
  return { requests, providerRequests, rows, previousSecret };
}

/** What {@linkcode addWebhookMetrics} added. */
export type WebhookMetrics = ReturnType<typeof addWebhookMetrics>;
