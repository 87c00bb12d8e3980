/**
 * `serve`: the server as a process, from its configuration to its exit code.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { type Config, ConfigError, localUrl, readConfig } from "../config.ts";
import { Log } from "../log.ts";
import { missingSecrets } from "../providers/providers.ts";
import { type Server, startServer } from "../server.ts";
import { importKey, sign } from "../signature.ts";
import { SqliteStore } from "../store/sqlite/sqlite.ts";
import type { StoreUnavailable } from "../store/store.ts";
import type { Command } from "./command.ts";
import { exampleMessage } from "./example.ts";

/** How long a shutdown may take before the process ends all the same. */
const shutdownTimeoutMs = 9000;

/** Serves with the configuration there is, or logs what is wrong with it. */
export const serveCommand: Command<{ "print-curl": { type: "boolean" } }> = {
  operands: [],
  summary: "Serve until SIGTERM or SIGINT (the default)",
  options: { "print-curl": { type: "boolean" } },
  help: `Usage: whatsapp-inbox [serve] [--print-curl]

Serves until SIGTERM or SIGINT; a second signal stops at once. The log goes to
stdout, a JSON object per line.

Options:
      --print-curl  Print a curl command that delivers a signed message
  -h, --help        Print this text

Exit codes:
  0  It was stopped by a signal
  1  The configuration or the address can't be used, or a second signal came
  2  Wrong arguments`,

  async run({ "print-curl": printCurl = false }) {
    let config: Config;
    try {
      config = readConfig();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const log = new Log("ERROR");
      log.write("ERROR", { message: error.message, faults: error.faults });
      await log.close();
      return 1;
    }
    return await serve(config, { printCurl });
  },
};

/**
 * Serves until SIGTERM or SIGINT.
 *
 * @param printCurl Whether to print a `curl` command on stderr that delivers a
 * signed message to this server.
 * @returns The exit code: 0 after a shutdown, 1 if the address can't be used.
 */
async function serve(
  config: Config,
  { printCurl }: { printCurl: boolean },
): Promise<number> {
  const log = new Log(config.logLevel);
  const firstSignal = listenForSignals(log);
  const onState = (problem: StoreUnavailable | null) => {
    if (problem === null) {
      log.write("INFO", { message: "database open" });
    } else {
      const { message, reason, detail } = problem;
      log.write("ERROR", { message, reason, reason_detail: detail });
    }
  };
  const onDeleted = (rows: number) =>
    log.write("INFO", { message: "old rows deleted", rows });
  const store = new SqliteStore(config.databasePath, onState, {
    ...config,
    onDeleted,
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
  const body = exampleMessage();
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
