/**
 * The HTTP server: a request in, an answer, a log line and metrics out.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { BodyError, BodyReader } from "./body.ts";
import type { Config } from "./config.ts";
import {
  errorResponse,
  type Exchange,
  type Service,
  unavailableResponse,
} from "./handlers/handler.ts";
import { findProblems } from "./handlers/health.ts";
import { addWebhookMetrics } from "./handlers/webhook_metrics.ts";
import type { Log, LogLevel } from "./log.ts";
import {
  Counter,
  durationBuckets,
  Histogram,
  Metrics,
  Reading,
} from "./metrics.ts";
import { addProcessMetrics } from "./process_metrics.ts";
import { providers } from "./providers/providers.ts";
import { matchRoute, routes } from "./routes.ts";
import type { Verifier } from "./signature.ts";
import { type Store, StoreUnavailable } from "./store/store.ts";
import { addStoreMetrics } from "./store_metrics.ts";

/** The `path` label of all requests that match no route. */
const unmatchedPath = "unmatched";
/** The `method` label of all requests that match no method of a route. */
const unmatchedMethod = "other";

const latencyBucketsMs = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000];

/**
 * Once shutdown has begun, requests that were sent before it may still have to be
 * read: they are served until none has come for the first of these times, at most
 * for the second.
 */
const shutdownQuietMs = 100;
const shutdownServeMs = 1000;
/** Then bodies still on their way get this long. */
const shutdownBodyGraceMs = 2000;
/** Once every handler has returned, connections get this long to send and close. */
const shutdownConnectionGraceMs = 500;

/** So long after Deno's server gave up listening another one takes its place. */
const relistenDelayMs = 100;
/** What the one that gave up has been sent is answered; then its connections close. */
const abandonedGraceMs = 1000;

/** A running server. */
export interface Server {
  /** Stops taking connections, answers what is in flight, closes the store. */
  shutdown(): Promise<void>;
}

/**
 * Starts serving.
 *
 * @throws What `Deno.serve()` throws, if the address can't be listened on.
 */
export async function startServer(
  config: Config,
  store: Store,
  log: Log,
): Promise<Server> {
  const metrics = new Metrics();
  const requests = metrics.add(
    "http_requests_total",
    new Counter("HTTP requests by route and status.", ["path", "status"]),
  );
  const webhookMetrics = addWebhookMetrics(metrics);
  const latencyMs = metrics.add(
    "request_latency_ms",
    new Histogram(
      "Time from a request's headers to its answer, in milliseconds.",
      latencyBucketsMs,
    ),
  );
  const durations = metrics.add(
    "http_request_duration_seconds",
    new Histogram(
      "Time from a request's headers to its answer, by route and method.",
      durationBuckets,
      ["path", "method"],
    ),
  );
  metrics.add(
    "http_requests_in_flight",
    new Reading("gauge", "Requests that are being answered.", () => inFlight),
  );
  // Series that are there from the start have a rate from the first event on.
  for (const [path, methods] of routes) {
    requests.add([path, "200"], 0);
    for (const method of methods.keys()) durations.add([path, method]);
  }
  requests.add([unmatchedPath, "404"], 0);
  durations.add([unmatchedPath, unmatchedMethod]);

  let stopping = false;
  let isRefusing = false;
  let inFlight = 0;
  let lastRequestMs = 0;
  let onAllAnswered: (() => void) | undefined;
  const bodies = new BodyReader();
  const verifiers = new Map<string, Verifier>();
  for (const provider of providers) {
    const verifier = await provider.verifier(config.secrets);
    if (verifier !== undefined) verifiers.set(provider.name, verifier);
  }
  const service: Service = {
    verifiers,
    secrets: config.secrets,
    store,
    bodies,
    metrics,
    webhookMetrics,
    isStopping: () => stopping,
    isRefusing: () => isRefusing,
  };

  let isReady = false;
  metrics.beforeText(async () => {
    isReady = (await findProblems(service)).length === 0;
  });
  metrics.add(
    "service_ready",
    new Reading(
      "gauge",
      "Whether /health/ready says so.",
      () => Number(isReady),
    ),
  );
  addStoreMetrics(metrics, store);
  metrics.add(
    "log_lines_dropped_total",
    new Reading(
      "counter",
      "Log lines dropped since nobody read them.",
      () => log.droppedLines,
    ),
  );
  addProcessMetrics(metrics);

  async function answer(request: Request): Promise<Response> {
    inFlight++;
    const startMs = performance.now();
    lastRequestMs = startMs;
    const requestId = crypto.randomUUID();
    const { path, query } = splitUrl(request.url);
    const match = matchRoute(path);
    const handler = match?.methods.get(request.method);
    const logFields: Exchange["logFields"] = {};
    let response: Response;
    if (hasPathInHost(request)) {
      response = errorResponse(400, "Invalid Host header");
    } else if (match === undefined) {
      response = errorResponse(404, "Not Found");
    } else if (handler === undefined) {
      const allow = Array.from(match.methods.keys()).join(", ");
      response = errorResponse(405, "Method Not Allowed", { allow });
    } else {
      try {
        const { parameter } = match;
        response = await handler(
          { request, query, parameter, logFields },
          service,
        );
      } catch (error) {
        response = errorToResponse(error, logFields);
      }
    }
    response.headers.set("x-request-id", requestId);
    if (stopping) response.headers.set("connection", "close");
    const { status } = response;
    const durationMs = performance.now() - startMs;
    const route = match?.route ?? unmatchedPath;
    requests.add([route, `${status}`]);
    latencyMs.observe(durationMs);
    durations.observe(durationMs / 1000, [
      route,
      handler === undefined ? unmatchedMethod : request.method,
    ]);
    log.write(levelOf(status), {
      request_id: requestId,
      client_request_id: saneRequestId(request.headers.get("x-request-id")),
      method: request.method,
      path,
      status,
      latency_ms: Math.round(durationMs * 1000) / 1000,
      ...logFields,
    });
    if (--inFlight === 0) onAllAnswered?.();
    return response;
  }

  function listen(): Deno.HttpServer {
    const server = Deno.serve({
      hostname: config.host,
      port: config.port,
      // Deno's own line on stdout would not be JSON.
      onListen: ({ hostname, port }) =>
        log.write("INFO", { message: "listening", host: hostname, port }),
    }, answer);
    server.finished.catch((error) => relisten(server, error));
    return server;
  }

  /**
   * Deno.serve() stops listening for good at the first connection that it can't
   * accept, as when the process has no file descriptor left. Connections that
   * carry no request are what takes them: closing them makes room.
   */
  async function relisten(failed: Deno.HttpServer, error: unknown) {
    if (stopping) return;
    const message = "connections can't be accepted, listening anew";
    log.write("ERROR", { message, error: String(error) });
    delay(abandonedGraceMs).then(() => failed.shutdown()).catch(() => {});
    let isListening = false;
    while (!stopping && !isListening) {
      await delay(relistenDelayMs);
      try {
        server = listen();
        isListening = true;
      } catch {
        // No descriptor for that either, so far.
      }
    }
  }

  let server = listen();

  return {
    async shutdown() {
      stopping = true;
      const stopMs = performance.now();
      do {
        await delay(shutdownQuietMs);
      } while (
        performance.now() - lastRequestMs < shutdownQuietMs &&
        performance.now() - stopMs < shutdownServeMs
      );
      isRefusing = true;
      // Deno 2.9 makes the bodies that are still on their way unreadable in
      // shutdown() (denoland/deno#36809): they have to be in before it.
      await bodies.drain(shutdownBodyGraceMs);
      const allAnswered = inFlight === 0
        ? Promise.resolve()
        : new Promise<void>((resolve) => onAllAnswered = resolve);
      // A connection that never carries a request must not hold up the stop.
      await Promise.race([
        server.shutdown(),
        allAnswered.then(() => delay(shutdownConnectionGraceMs)),
      ]);
      await store.close();
    },
  };
}

/**
 * `true` if the Host header would become a part of the path: a request's URL is
 * made by joining the two.
 */
function hasPathInHost(request: Request): boolean {
  return /[/?#\\]/.test(request.headers.get("host") ?? "");
}

/** Splits a request's URL; of what stands before the path nothing is needed. */
function splitUrl(url: string): { path: string; query: URLSearchParams } {
  const pathStart = url.indexOf("/", url.indexOf("://") + 3);
  const target = pathStart < 0 ? "/" : url.slice(pathStart);
  const queryStart = target.indexOf("?");
  return queryStart < 0 ? { path: target, query: new URLSearchParams() } : {
    path: target.slice(0, queryStart),
    query: new URLSearchParams(target.slice(queryStart)),
  };
}

function errorToResponse(
  error: unknown,
  logFields: Exchange["logFields"],
): Response {
  if (error instanceof StoreUnavailable) {
    logFields.reason = error.reason;
    logFields.reason_detail = error.detail;
    return unavailableResponse(error.message);
  }
  if (error instanceof BodyError) {
    logFields.reason = error.message;
    return error.status === 503
      ? unavailableResponse(error.message)
      : errorResponse(error.status, error.message);
  }
  logFields.error = error instanceof Error ? error.stack : String(error);
  return errorResponse(500, "Internal Server Error");
}

function levelOf(status: number): LogLevel {
  if (status >= 500 || status === 401) return "ERROR";
  return status >= 400 ? "WARNING" : "INFO";
}

/** A client's request id if it is short and printable; else nothing. */
function saneRequestId(id: string | null): string | undefined {
  return id !== null && /^[\x21-\x7e]{1,128}$/.test(id) ? id : undefined;
}
