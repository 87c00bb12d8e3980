/**
 * `serve`: the server as a process, from its configuration to its exit code.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { type Config, localUrl } from "../config.ts";
import { Log } from "../log.ts";
import { missingSecrets } from "../providers/providers.ts";
import { type Server, startServer } from "../server.ts";
import { importKey, sign } from "../signature.ts";
import { SqliteStore } from "../store/sqlite/sqlite.ts";

/** How long a shutdown may take before the process ends all the same. */
const shutdownTimeoutMs = 9000;

/**
 * Serves until SIGTERM or SIGINT.
 *
 * @param printCurl Whether to print a `curl` command on stderr that delivers a
 * signed message to this server.
 * @returns The exit code: 0 after a shutdown, 1 if the address can't be used.
 */
export async function serve(
  config: Config,
  { printCurl }: { printCurl: boolean },
): Promise<number> {
  const log = new Log(config.logLevel);
  const firstSignal = listenForSignals(log);
  const store = new SqliteStore(config.databasePath, (problem) => {
    if (problem === null) {
      log.write("INFO", { message: "database open" });
    } else {
      const { message, reason, detail } = problem;
      log.write("ERROR", { message, reason, reason_detail: detail });
    }
  });
  for (const message of missingSecrets(config.secrets)) {
    log.write("ERROR", { message });
  }
  let server: Server;
  try {
    server = await startServer(config, store, log);
  } catch (error) {
    const { host, port } = config;
    const message = `Cannot listen on HOST="${host}" PORT="${port}"`;
    log.write("ERROR", { message, error: String(error) });
    await log.close();
    return 1;
  }
  if (printCurl) console.error(await exampleCurl(config));
  const signal = await firstSignal;
  log.write("INFO", { message: "stopping", signal });
  const isClean = await Promise.race([
    server.shutdown().then(() => true),
    delay(shutdownTimeoutMs, false),
  ]);
  if (isClean) {
    log.write("INFO", { message: "stopped" });
  } else {
    const message = "stopped before every request was answered";
    log.write("WARNING", { message });
  }
  await log.close();
  return 0;
}

/**
 * Two signals closer than this are one: at a terminal Ctrl+C reaches the server
 * from the terminal and, once more, from the task runner that started it.
 */
const sameSignalMs = 100;

/** Resolves with the first signal to stop; a second one ends the process at once. */
function listenForSignals(log: Log): Promise<Deno.Signal> {
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  return new Promise((resolve) => {
    let firstMs: number | undefined;
    for (const signal of signals) {
      Deno.addSignalListener(signal, () => {
        if (firstMs === undefined) {
          firstMs = performance.now();
          resolve(signal);
        } else if (performance.now() - firstMs > sameSignalMs) {
          log.write("WARNING", { message: "stopped at once", signal });
          log.close().finally(() => Deno.exit(1));
        }
      });
    }
  });
}

/** A command that delivers a signed message, to be pasted into a POSIX shell. */
async function exampleCurl(config: Config): Promise<string> {
  const body = JSON.stringify({
    message_id: `example-${Date.now()}`,
    from: "+919876543210",
    to: "+14155550100",
    ts: `${new Date().toISOString().slice(0, 19)}Z`,
    text: "Hello",
  });
  const secret = config.secrets.WEBHOOK_SECRET;
  if (secret === undefined) return "No curl command: WEBHOOK_SECRET is not set";
  const key = await importKey(secret);
  const signature = await sign(key, new TextEncoder().encode(body));
  return [
    "Deliver a first message:",
    `curl -i ${
      localUrl(config)
    }/webhook -H 'Content-Type: application/json' -H 'X-Signature: ${signature}' -d '${body}'`,
  ].join("\n");
}
