/**
 * The command line: arguments in, one call into lib.
 *
 * @module
 */

import { parseArgs } from "node:util";
import denoConfig from "./deno.json" with { type: "json" };
import { healthcheck } from "./lib/commands/healthcheck.ts";
import { serve } from "./lib/commands/serve.ts";
import { printSignature } from "./lib/commands/sign.ts";
import { type Config, ConfigError, readConfig } from "./lib/config.ts";
import { Log } from "./lib/log.ts";

const help = `whatsapp-inbox ${denoConfig.version}
Stores signed WhatsApp-like webhooks exactly once and serves them back.

Usage: whatsapp-inbox [command] [options]

Commands:
  serve          Serve until SIGTERM or SIGINT (the default)
  sign [FILE]    Print the X-Signature of a body, from FILE or stdin
  healthcheck    Exit with 0 if the server on this machine is ready, else with 1

Options:
  --print-curl   With serve: print a curl command that delivers a signed message
  -h, --help     Print this text
  -V, --version  Print the version

Environment:
  WEBHOOK_SECRET  The HMAC-SHA256 key of X-Signature; not ready without it
  WHATSAPP_APP_SECRET, WHATSAPP_VERIFY_TOKEN
                  The WhatsApp Cloud API's app secret and verify token; without
                  them /webhook/whatsapp is not there
  WEBHOOK_SECRET_PREVIOUS, WHATSAPP_APP_SECRET_PREVIOUS
                  Accepted too, while a secret is being changed
  DATABASE_URL    sqlite:////absolute/path.db, sqlite:///relative/path.db or
                  sqlite:///:memory: (default: sqlite:////data/app.db)
  LOG_LEVEL       DEBUG, INFO, WARNING or ERROR (default: INFO)
  HOST, PORT      Where to listen (default: 0.0.0.0, 8000)`;

const commands = {
  serve: { maxOperands: 0 },
  sign: { maxOperands: 1 },
  healthcheck: { maxOperands: 0 },
} as const;

type Command = keyof typeof commands;

/** @throws {TypeError} If there is no such command, option or operand. */
function parseCommandLine(args: string[]) {
  const { values: options, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h", default: false },
      version: { type: "boolean", short: "V", default: false },
      "print-curl": { type: "boolean", default: false },
    },
  });
  const [command = "serve", ...operands] = positionals;
  if (!Object.hasOwn(commands, command)) {
    throw new TypeError(`Unknown command '${command}'`);
  }
  const { maxOperands } = commands[command as Command];
  if (operands.length > maxOperands) {
    throw new TypeError(`Unexpected argument '${operands[maxOperands]}'`);
  }
  return { options, command: command as Command, operands };
}

/** Runs the command and returns the exit code: 2 for wrong arguments. */
async function main(args: string[]): Promise<number> {
  let commandLine;
  try {
    commandLine = parseCommandLine(args);
  } catch (error) {
    console.error(
      `${(error as TypeError).message}\nTry 'whatsapp-inbox --help'.`,
    );
    return 2;
  }
  const { options, command, operands } = commandLine;
  if (options.help || options.version) {
    console.log(options.help ? help : denoConfig.version);
    return 0;
  }
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
  switch (command) {
    case "serve":
      return await serve(config, { printCurl: options["print-curl"] });
    case "sign":
      return await printSignature(config, operands[0]);
    case "healthcheck":
      return await healthcheck(config);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
