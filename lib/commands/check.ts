/**
 * `check`: whether anything would keep the server from doing its work.
 *
 * @module
 */

import { dirname } from "node:path";
import { type Config, readConfig } from "../config.ts";
import { missingSecrets } from "../providers/providers.ts";
import { freeBytes } from "../store/sqlite/disk.ts";
import { inspect } from "../store/sqlite/inspect.ts";
import { findFaults } from "../store/sqlite/integrity.ts";
import { schemaVersion } from "../store/sqlite/schema.ts";
import type { Command } from "./command.ts";
import { Progress, readableSize } from "./progress.ts";

/** A clock that was never set says 1970. */
const firstSaneYear = 2025;
/** How far a clock that is kept right may be put back. */
const clockToleranceMs = 60_000;

/** Checks one thing after the other, a line each. */
export const checkCommand: Command = {
  operands: [],
  summary: "Check configuration, database, schema, free disk and clock",
  options: {},
  help: `Usage: whatsapp-inbox check

Checks, a line each, whether
  - the configuration can be used and WEBHOOK_SECRET is set,
  - the database can be opened and is whole (PRAGMA quick_check, which reads all
    of it), or can be made,
  - its schema is one that this program knows,
  - MIN_FREE_DISK_MIB (256) are free on its disk,
  - the clock says a sane year, and the newest message is not from the future.
The server may run; nothing is changed.

Options:
  -h, --help  Print this text

Exit codes:
  0  Everything is right
  1  Something is wrong
  2  Wrong arguments`,

  async run() {
    let isRight = true;
    /** Prints what there is to say of what is found; what is wrong is thrown. */
    async function report<T>(
      what: string,
      find: () => T,
      describe: (found: T) => string | Promise<string>,
    ): Promise<T | undefined> {
      let found: T | undefined;
      try {
        found = find();
        console.log(`ok    ${what}: ${await describe(found)}`);
      } catch (error) {
        isRight = false;
        console.log(`FAIL  ${what}: ${(error as Error).message}`);
      }
      return found;
    }
    const config = await report(
      "configuration",
      () => readConfig(),
      describeConfig,
    );
    if (config === undefined) return 1;
    const { databasePath: path, minFreeDiskBytes } = config;
    const inspection = await report(
      "database",
      () => hasFile(path) ? inspect(path) : undefined,
      (inspection) => describeDatabase(path, inspection !== undefined),
    );
    if (inspection !== undefined) {
      await report("schema", () => inspection.version, describeSchema);
    }
    if (path !== ":memory:") {
      await report(
        "disk",
        () => freeBytes(path),
        (free) => describeDisk(free, minFreeDiskBytes),
      );
    }
    const newestReceivedAt = inspection?.newestReceivedAt ?? null;
    await report(
      "clock",
      () => Date.now(),
      (nowMs) => describeClock(nowMs, newestReceivedAt),
    );
    return isRight ? 0 : 1;
  },
};

/** @throws {Error} If the server is not ready for want of a secret. */
function describeConfig({ host, port, secrets }: Config): string {
  const missing = missingSecrets(secrets);
  if (missing.length > 0) throw new Error(missing.join(", "));
  const set = Object.keys(secrets).filter((name) => secrets[name]);
  return `${host} port ${port}, ${set.join(", ")}`;
}

/** Whether there is a database; `false` too for what is none but in memory. */
function hasFile(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** @throws {Error} If it is corrupt, or can't be made. */
async function describeDatabase(
  path: string,
  isThere: boolean,
): Promise<string> {
  if (path === ":memory:") return "in memory, gone when the server stops";
  if (!isThere) {
    tryToWriteIn(dirname(path));
    return `${path} is not there yet, the server makes it`;
  }
  const progress = new Progress();
  const faults = await progress.during(
    "checking the database",
    findFaults(path, "quick_check"),
  );
  progress.clear();
  if (faults.length > 0) throw new Error(`${path} is corrupt: ${faults[0]}`);
  return `${path}, ${readableSize(Deno.statSync(path).size)}`;
}

/** @throws {Error} If no file can be made there. */
function tryToWriteIn(dir: string): void {
  try {
    Deno.removeSync(Deno.makeTempFileSync({ dir }));
  } catch (error) {
    throw new Error(`cannot write in ${dir}: ${(error as Error).message}`);
  }
}

/** @throws {Error} If a newer program made it. */
function describeSchema(version: number): string {
  if (version > schemaVersion) {
    throw new Error(
      `version ${version}, this program knows up to ${schemaVersion}`,
    );
  }
  return version === schemaVersion
    ? `version ${version}`
    : `version ${version}, the server upgrades it to ${schemaVersion}`;
}

/** @throws {Error} If there is too little left. */
export function describeDisk(free: number, minFree: number): string {
  const text = `${readableSize(free)} free`;
  if (free >= minFree) return text;
  throw new Error(`${text}, less than ${readableSize(minFree)}`);
}

/**
 * @param newestReceivedAt When the newest message came, by the clock of that
 * time.
 * @throws {Error} If it was never set, or was put back.
 */
export function describeClock(
  nowMs: number,
  newestReceivedAt: string | null,
): string {
  const now = new Date(nowMs).toISOString();
  if (new Date(nowMs).getUTCFullYear() < firstSaneYear) {
    throw new Error(`${now}, was it ever set?`);
  }
  if (newestReceivedAt === null) return now;
  if (Date.parse(newestReceivedAt) > nowMs + clockToleranceMs) {
    throw new Error(`${now}, but the newest message came ${newestReceivedAt}`);
  }
  return `${now}, the newest message came ${newestReceivedAt}`;
}
