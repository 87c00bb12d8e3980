/**
 * The command line: arguments in, one call into lib.
 *
 * @module
 */

import { parseArgs } from "node:util";
import denoConfig from "./deno.json" with { type: "json" };
import { alertsCommand } from "./lib/commands/alerts.ts";
import { backupCommand } from "./lib/commands/backup.ts";
import { checkCommand } from "./lib/commands/check.ts";
import { type Command, UsageError } from "./lib/commands/command.ts";
import { exportCommand } from "./lib/commands/export.ts";
import { grafanaCommand } from "./lib/commands/grafana.ts";
import { healthcheckCommand } from "./lib/commands/healthcheck.ts";
import { importCommand } from "./lib/commands/import.ts";
import { sendCommand } from "./lib/commands/send.ts";
import { serveCommand } from "./lib/commands/serve.ts";
import { signCommand } from "./lib/commands/sign.ts";
import { systemdCommand } from "./lib/commands/systemd.ts";
import { ConfigError } from "./lib/config.ts";

const commands: Readonly<Record<string, Command>> = {
  serve: serveCommand,
  send: sendCommand,
  sign: signCommand,
  healthcheck: healthcheckCommand,
  check: checkCommand,
  backup: backupCommand,
  export: exportCommand,
  import: importCommand,
  systemd: systemdCommand,
  alerts: alertsCommand,
  grafana: grafanaCommand,
};

const help = `whatsapp-inbox ${denoConfig.version}
Stores signed WhatsApp-like webhooks exactly once and serves them back.

Usage: whatsapp-inbox [command] [options]

Commands:
${
  Object.entries(commands).map(([name, { operands, summary }]) =>
    `  ${[name, ...operands].join(" ").padEnd(13)}  ${summary}`
  ).join("\n")
}

Options:
  -h, --help     Print this text; after a command, that command's
  -V, --version  Print the version

Environment:
  WEBHOOK_SECRET  The HMAC-SHA256 key of X-Signature; not ready without it
  WHATSAPP_APP_SECRET, WHATSAPP_VERIFY_TOKEN
                  The WhatsApp Cloud API's app secret and verify token; without
                  them /webhook/whatsapp is not there
  WEBHOOK_SECRET_PREVIOUS, WHATSAPP_APP_SECRET_PREVIOUS
                  Accepted too, while a secret is being changed
  ..._FILE        The path of a file that holds one of these instead:
                  WEBHOOK_SECRET_FILE and so on
  DATABASE_URL    sqlite:////absolute/path.db, sqlite:///relative/path.db or
                  sqlite:///:memory: (default: sqlite:////data/app.db)
  RETENTION_DAYS  What arrived more days ago is deleted (default: never)
  MIN_FREE_DISK_MIB
                  With less free on the database's disk the server is not ready;
                  0 turns that off (default: 256)
  LOG_LEVEL       DEBUG, INFO, WARNING or ERROR (default: INFO)
  HOST, PORT      Where to listen (default: 0.0.0.0, 8000)

Exit codes: 0 for success, 1 for failure, 2 for wrong arguments.`;

/** @throws {UsageError} If there is no such option. */
function parseOptions(command: Command, args: string[]) {
  try {
    const { values, positionals: operands } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "V" },
        ...command.options,
      },
    });
    const { help, version, ...options } = values;
    return { isHelp: help, isVersion: version, options, operands };
  } catch (error) {
    throw new UsageError((error as TypeError).message);
  }
}

/** @throws {UsageError} If there is an operand too many or too few. */
function checkOperands(command: Command, operands: readonly string[]): void {
  const missing = command.operands[operands.length];
  if (missing !== undefined && !missing.startsWith("[")) {
    throw new UsageError(`Missing argument ${missing}`);
  }
  if (operands.length > command.operands.length) {
    const unexpected = operands[command.operands.length];
    throw new UsageError(`Unexpected argument '${unexpected}'`);
  }
}

/** Runs the command and returns the exit code. */
async function main(args: string[]): Promise<number> {
  const isNamed = args.length > 0 && !args[0].startsWith("-");
  const name = isNamed ? args[0] : "serve";
  if (!Object.hasOwn(commands, name)) {
    console.error(`Unknown command '${name}'\nTry 'whatsapp-inbox --help'.`);
    return 2;
  }
  const command = commands[name];
  try {
    const { isHelp, isVersion, options, operands } = parseOptions(
      command,
      isNamed ? args.slice(1) : args,
    );
    if (isHelp || isVersion) {
      const ownHelp = isNamed ? command.help : help;
      console.log(isHelp ? ownHelp : denoConfig.version);
      return 0;
    }
    checkOperands(command, operands);
    return await command.run(options, operands);
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof UsageError) {
      const words = ["whatsapp-inbox", ...(isNamed ? [name] : []), "--help"];
      console.error(`${message}\nTry '${words.join(" ")}'.`);
      return 2;
    }
    console.error(
      error instanceof ConfigError ? message : `Cannot ${name}: ${message}`,
    );
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
