/**
 * The configuration: environment variables in, checked values out. Nothing else
 * reads the environment.
 *
 * @module
 */

import { isAbsolute } from "node:path";
import { type LogLevel, logLevels } from "./log.ts";
import type { Secrets } from "./providers/provider.ts";
import { providers } from "./providers/providers.ts";

/** The checked configuration. */
export interface Config {
  /** The providers' secrets, as far as they are set. */
  readonly secrets: Secrets;
  /** Where SQLite keeps its data: a file's path, or `:memory:`. */
  readonly databasePath: string;
  /** Rows that arrived more days ago are deleted; `Infinity` keeps them for ever. */
  readonly retentionDays: number;
  /** With less than this free on the database's disk it is not ready; 0 is never. */
  readonly minFreeDiskBytes: number;
  readonly logLevel: LogLevel;
  /** The host name or address to listen on. */
  readonly host: string;
  readonly port: number;
}

/** A variable whose value can't be used. */
export interface ConfigFault {
  readonly variable: string;
  /** The value, without a password it may hold. */
  readonly value: string;
  /** What would be right. */
  readonly expected: string;
}

/** Thrown by {@linkcode readConfig} with every wrong variable at once. */
export class ConfigError extends Error {
  constructor(readonly faults: readonly ConfigFault[]) {
    super(
      `Cannot use ${
        faults.map(({ variable, value, expected }) =>
          `${variable}="${value}" (expected ${expected})`
        ).join(", ")
      }`,
    );
    this.name = "ConfigError";
  }
}

/**
 * Reads and checks the configuration. An empty variable counts as not set. A
 * secret is in the variable of its name or in a file: the path in `NAME_FILE`.
 *
 * @param env How to look a variable up.
 * @throws {ConfigError} With every variable whose value can't be used.
 */
export function readConfig(
  env: (name: string) => string | undefined = (name) => Deno.env.get(name),
): Config {
  const faults: ConfigFault[] = [];
  function read<T>(
    variable: string,
    fallback: string,
    expected: string,
    parse: (value: string) => T | undefined,
  ): T {
    const value = env(variable) || fallback;
    const parsed = parse(value);
    if (parsed === undefined) {
      faults.push({ variable, value: withoutPassword(value), expected });
    }
    return parsed as T;
  }
  function readSecret(name: string): string | undefined {
    const value = env(name) || undefined;
    const variable = `${name}_FILE`;
    const path = env(variable);
    if (!path) return value;
    try {
      if (value !== undefined) throw new Error(`nothing beside ${name}`);
      return readSecretFile(path);
    } catch (error) {
      faults.push({
        variable,
        // What is no path may be the secret itself, set by mistake.
        value: isAbsolute(path) ? path : "***",
        expected: (error as Error).message,
      });
    }
  }
  const config = {
    secrets: Object.fromEntries(
      providers.flatMap(({ secretVariables }) => secretVariables)
        .map((name) => [name, readSecret(name)]),
    ),
    databasePath: read(
      "DATABASE_URL",
      "sqlite:////data/app.db",
      "sqlite:////absolute/path.db, sqlite:///relative/path.db or sqlite:///:memory:",
      parseDatabaseUrl,
    ),
    retentionDays: read(
      "RETENTION_DAYS",
      "",
      "an integer from 1 to 9999999",
      parseRetentionDays,
    ),
    minFreeDiskBytes: read(
      "MIN_FREE_DISK_MIB",
      "256",
      "an integer from 0, which turns it off, to 99999999",
      parseMebibytes,
    ),
    logLevel: read("LOG_LEVEL", "INFO", logLevels.join(", "), parseLogLevel),
    host: read("HOST", "0.0.0.0", "an IP address or a host name", parseHost),
    port: read("PORT", "8000", "an integer from 1 to 65535", parsePort),
  };
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

/**
 * A file's content without the newline that editors and `echo` put at its end.
 *
 * @throws {Error} With what would be right, and why this isn't.
 */
function readSecretFile(path: string): string {
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let secret: string;
  try {
    secret = utf8.decode(Deno.readFileSync(path)).replace(/\r?\n$/, "");
  } catch (error) {
    // Without the path in the system's words: it may be no path.
    const [reason] = (error as Error).message.split(":");
    throw new Error(`a readable file of UTF-8 text; ${reason}`);
  }
  if (secret === "") throw new Error("a file that is not empty");
  return secret;
}

function parseDatabaseUrl(value: string): string | undefined {
  return /^sqlite:\/\/\/([^\0]+)$/.exec(value)?.[1];
}

function parseRetentionDays(value: string): number | undefined {
  if (value === "") return Infinity;
  return /^[1-9]\d{0,6}$/.test(value) ? Number(value) : undefined;
}

function parseMebibytes(value: string): number | undefined {
  return /^\d{1,8}$/.test(value) ? Number(value) * (1 << 20) : undefined;
}

function parseLogLevel(value: string): LogLevel | undefined {
  return logLevels.find((level) => new RegExp(`^${level}$`, "i").test(value));
}

function parseHost(value: string): string | undefined {
  return /^[0-9A-Za-z.:_%-]+$/.test(value) ? value : undefined;
}

function parsePort(value: string): number | undefined {
  const port = Number(value);
  return /^\d{1,5}$/.test(value) && port >= 1 && port <= 65535
    ? port
    : undefined;
}

/** The URL of a server that listens as configured, seen from this machine. */
export function localUrl({ host, port }: Config): string {
  if (host === "0.0.0.0") return `http://127.0.0.1:${port}`;
  if (host === "::") return `http://[::1]:${port}`;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The value of a URL without what may be a password in it. */
function withoutPassword(value: string): string {
  return value.replace(/^([a-z0-9+.-]+:\/\/)?[^]*@/i, "$1***@")
    .replace(/\?[^]*$/, "?***");
}
