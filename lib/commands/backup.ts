/**
 * `backup`: a copy of the database while the server runs.
 *
 * @module
 */

import { basename, dirname, join } from "node:path";
import { readConfig } from "../config.ts";
import { completeCopy, copyDatabase } from "../store/sqlite/backup.ts";
import { findFaults } from "../store/sqlite/integrity.ts";
import type { Command } from "./command.ts";
import { Progress, readableSize } from "./progress.ts";

/** Copies the database to a file that is there only once it is whole and checked. */
export const backupCommand: Command<{ force: { type: "boolean" } }> = {
  operands: ["FILE"],
  summary: "Copy the database to FILE while the server runs",
  options: { force: { type: "boolean" } },
  help: `Usage: whatsapp-inbox backup [--force] FILE

Copies the database to FILE, checks the copy (PRAGMA integrity_check) and syncs
it to disk. FILE holds all that was stored before, and can take the database's
place as it is. The server may run and take writes: it waits for nothing, but
its log grows for as long as the copying takes. Until the copy is whole and
checked it is in a folder of its own, .FILE.*.part, which goes away if anything
fails.

Options:
      --force  Replace FILE if it exists
  -h, --help   Print this text

Exit codes:
  0  FILE is the backup
  1  There is none, and FILE is as it was: it exists, the database can't be read
     or is corrupt, the disk is full, or a signal came
  2  Wrong arguments`,

  async run({ force = false }, [file]) {
    const { databasePath } = readConfig();
    checkTarget(file, databasePath, force);
    const progress = new Progress();
    let folder: string | undefined;
    const cleanUp = () => {
      progress.clear();
      if (folder !== undefined) remove(folder);
    };
    const stopListening = onSignal((signal) => {
      cleanUp();
      console.error(`Cannot backup: stopped by ${signal}`);
      Deno.exit(1);
    });
    try {
      folder = makeFolderBeside(file);
      const copy = join(folder, "copy.db");
      await copyDatabase(databasePath, copy, (copied, total) => {
        progress.show(
          `copied ${readableSize(copied)} of ${readableSize(total)}`,
        );
      });
      await progress.during("taking in the log", completeCopy(copy));
      const faults = await progress.during(
        "checking the copy",
        findFaults(copy, "integrity_check"),
      );
      if (faults.length > 0) {
        throw new Error(`${databasePath} is corrupt: ${faults[0]}`);
      }
      sync(copy);
      checkTarget(file, databasePath, force);
      Deno.renameSync(copy, file);
      if (Deno.build.os !== "windows") sync(dirname(file));
    } finally {
      stopListening();
      cleanUp();
    }
    const { size } = Deno.statSync(file);
    console.log(
      `${databasePath} is in ${file}: ${readableSize(size)}, checked`,
    );
    return 0;
  },
};

/** @throws {Error} If nothing can be made there. */
function makeFolderBeside(file: string): string {
  const dir = dirname(file);
  try {
    const prefix = `.${basename(file)}.`;
    return Deno.makeTempDirSync({ dir, prefix, suffix: ".part" });
  } catch (error) {
    throw new Error(`cannot write in ${dir}: ${(error as Error).message}`);
  }
}

/** Removes a folder though the worker that checks a copy may make files in it. */
function remove(folder: string): void {
  for (let attempts = 0; attempts < 100; attempts++) {
    try {
      return Deno.removeSync(folder, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
    }
  }
}

/** @throws {Error} If a backup under this name would destroy something. */
function checkTarget(file: string, databasePath: string, force: boolean): void {
  // A log is taken for that of whatever file has the name.
  for (const log of [`${file}-wal`, `${file}-journal`]) {
    if (statOf(log) !== undefined) {
      throw new Error(`${log} exists: ${file} is a database in use`);
    }
  }
  const target = statOf(file);
  if (target === undefined) return;
  if (!target.isFile) throw new Error(`${file} is no file`);
  const database = statOf(databasePath);
  if (target.dev === database?.dev && target.ino === database.ino) {
    throw new Error(`${file} is the database itself`);
  }
  if (!force) throw new Error(`${file} exists; --force replaces it`);
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Has what was written to a file, or renamed in a folder, survive a power cut. */
function sync(path: string): void {
  using file = Deno.openSync(path);
  file.syncSync();
}

/** @returns A function that has signals end the process at once again. */
function onSignal(stop: (signal: Deno.Signal) => void): () => void {
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  const listeners = signals.map((signal) => {
    const listener = () => stop(signal);
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  return () => {
    for (const remove of listeners) remove();
  };
}
