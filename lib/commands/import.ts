/**
 * `import`: JSON Lines into the database.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { readConfig } from "../config.ts";
import { readLines } from "../lines.ts";
import type { Delivery } from "../message.ts";
import { parseRecord } from "../record.ts";
import { openToWrite } from "../store/sqlite/open.ts";
import { Writer } from "../store/sqlite/writer.ts";
import type { FieldError } from "../validation.ts";
import type { Command } from "./command.ts";
import { openInput } from "./input.ts";
import { Progress } from "./progress.ts";

/** A message's payload and text of 3 MiB each, with every quote escaped, fit. */
const maxLineBytes = 16 << 20;
/** What one transaction takes: it holds the server's deliveries up for that long. */
const maxBatchRows = 1000;
const maxBatchBytes = 8 << 20;
/**
 * Between two transactions the server gets at least this, or as long as the last
 * one took: SQLite looks for a lock every 25 ms or less at first, then every 100.
 */
const minPauseMs = 30;
const maxReported = 10;

/** Stores messages and events from a file or stdin, those that are new. */
export const importCommand: Command = {
  operands: ["FILE"],
  summary: "Store messages and events from JSON Lines, in FILE or stdin (-)",
  options: {},
  help: `Usage: whatsapp-inbox import FILE

Stores messages and events from FILE, or from stdin if that is -: a line of JSON
each, as export writes them, or a message of five fields as POST /webhook takes
it. What is there already stays as it is, so that an import can be repeated. The
server may run. The database is made if there is none.

Nothing of an invalid line is stored; the first ${maxReported} are shown with what is
wrong, and the valid lines are stored all the same.

Options:
  -h, --help  Print this text

Exit codes:
  0  Everything is stored, now or before
  1  Lines are invalid, or FILE can't be read or the database not be written
  2  Wrong arguments`,

  async run(_options, [file]) {
    const lines = readLines(await openInput(file), maxLineBytes);
    const db = openToWrite(readConfig().databasePath);
    const progress = new Progress();
    const importer = new Importer(new Writer(db));
    let invalidLines = 0;
    try {
      for await (const { number, bytes } of lines) {
        const faults = await importer.add(bytes);
        if (faults.length > 0 && ++invalidLines <= maxReported) {
          progress.clear();
          console.error(`line ${number}: ${faults.join("; ")}`);
        }
        progress.show(`line ${number}`);
      }
      await importer.store();
    } finally {
      progress.clear();
      db.close();
      const { messages, newMessages, events, newEvents } = importer.counts;
      console.log(
        `messages: ${newMessages} new, ${messages - newMessages} there already`,
      );
      console.log(
        `events: ${newEvents} new, ${events - newEvents} there already`,
      );
    }
    if (invalidLines === 0) return 0;
    console.error(`invalid lines: ${invalidLines}, nothing of them is stored`);
    return 1;
  },
};

/** Gathers what is valid and stores it in transactions of some size. */
class Importer {
  /** What was stored or there already. */
  readonly counts = { messages: 0, newMessages: 0, events: 0, newEvents: 0 };
  readonly #writer: Writer;
  #batch: Delivery[] = [];
  #batchBytes = 0;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  /**
   * Takes a line; `undefined` is one that is too long.
   *
   * @returns What is wrong with it.
   */
  async add(bytes: Uint8Array | undefined): Promise<string[]> {
    if (bytes === undefined) return [`longer than ${maxLineBytes} bytes`];
    if (isBlank(bytes)) return [];
    const record = parseRecord(bytes);
    if (!record.ok) return record.errors.map(describe);
    this.#batch.push(record.delivery);
    this.#batchBytes += bytes.length;
    if (
      this.#batch.length >= maxBatchRows || this.#batchBytes >= maxBatchBytes
    ) await this.store();
    return [];
  }

  /** Stores what was gathered, then lets others write. */
  async store(): Promise<void> {
    if (this.#batch.length === 0) return;
    const startMs = performance.now();
    const inserted = this.#writer.insert(this.#batch);
    const tookMs = performance.now() - startMs;
    this.#batch.forEach(({ messages, events }, index) => {
      this.counts.messages += messages.length;
      this.counts.newMessages += inserted[index].newMessages;
      this.counts.events += events.length;
      this.counts.newEvents += inserted[index].newEvents;
    });
    this.#batch = [];
    this.#batchBytes = 0;
    await delay(Math.max(minPauseMs, tookMs));
  }
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.length === 0 || (bytes.length === 1 && bytes[0] === 0x0d);
}

/** An error without the part it is in, which is always the line. */
function describe({ loc, msg }: FieldError): string {
  return [...loc.slice(1), msg.replace(/^Body /, "Line ")].join(": ");
}
