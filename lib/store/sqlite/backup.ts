/**
 * A copy of a database that others go on writing to.
 *
 * `VACUUM INTO` needs `ATTACH`, which Deno gives only to programs with all
 * permissions; SQLite's backup API starts over whenever another process writes.
 * So the files are copied as they are, during a read transaction. What that keeps
 * from happening makes them one state of the database, see
 * https://sqlite.org/walformat.html: nobody starts the log over, and checkpoints
 * bring into the database file only what the log holds from before the
 * transaction. Whatever of that is in the copied file, or half of it, the copied
 * log has too, and SQLite takes it from there. Nobody who writes waits for it.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { runInBackground } from "./background.ts";
import { openToRead } from "./open.ts";

const chunkBytes = 1 << 20;
/** After so much the copy is synced, lest the server's commits wait for all of it. */
const syncBytes = 64 << 20;
const logHeaderBytes = 32;

/**
 * Copies a database and its log. The process must have no other connection to
 * the database: closing its file gives up the locks of all of them.
 *
 * @param source The database file.
 * @param target The file to make; its log is `target` and `-wal`.
 * @param onProgress Told how much of the database file is copied.
 * @throws {Error} If the one can't be read or the other not be written.
 */
export async function copyDatabase(
  source: string,
  target: string,
  onProgress: (copiedBytes: number, totalBytes: number) => void,
): Promise<void> {
  const db = openToRead(source);
  // The log stands beside the file itself, not beside a link to it.
  const path = Deno.realPathSync(source);
  const file = await Deno.open(path);
  try {
    db.exec("BEGIN; SELECT * FROM sqlite_schema LIMIT 1");
    const { size } = await file.stat();
    await copyFile(file, target, (copied) => onProgress(copied, size));
    await copyLog(`${path}-wal`, `${target}-wal`);
  } finally {
    // In this order, or the locks were gone before the transaction.
    db.close();
    file.close();
  }
}

/**
 * Makes one file of a copy and its log.
 *
 * @throws {Error} If they can't be read or written.
 */
export async function completeCopy(path: string): Promise<void> {
  await runInBackground({
    path,
    readOnly: false,
    statements: ["PRAGMA journal_mode = DELETE"],
  });
}

async function copyFile(
  source: Deno.FsFile,
  path: string,
  onProgress: (copiedBytes: number) => void = () => {},
): Promise<void> {
  using target = await Deno.open(path, {
    write: true,
    create: true,
    truncate: true,
    mode: 0o600,
  });
  const chunk = new Uint8Array(chunkBytes);
  let copied = 0;
  let synced = 0;
  for (;;) {
    const size = await source.read(chunk);
    if (size === null) return;
    for (let written = 0; written < size;) {
      written += await target.write(chunk.subarray(written, size));
    }
    copied += size;
    onProgress(copied);
    if (copied - synced >= syncBytes) {
      synced = copied;
      await target.syncData();
    }
  }
}

/**
 * Copies the log, once more if it was started over meanwhile: when all of it was
 * in the database file already, the transaction doesn't keep that from happening,
 * but it can't happen twice.
 */
async function copyLog(source: string, target: string): Promise<void> {
  let log: Deno.FsFile;
  try {
    log = await Deno.open(source);
  } catch (error) {
    // A database that no server has opened yet may have none.
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  using _log = log;
  let header: Buffer;
  do {
    header = await readHeader(log);
    await log.seek(0, Deno.SeekMode.Start);
    await copyFile(log, target);
  } while (!header.equals(await readHeader(log)));
}

/** What changes when the log is started over. */
async function readHeader(log: Deno.FsFile): Promise<Buffer> {
  const header = Buffer.alloc(logHeaderBytes);
  await log.seek(0, Deno.SeekMode.Start);
  await log.read(header);
  return header;
}
