/**
 * `export`: everything that is stored, as JSON Lines.
 *
 * @module
 */

import { readConfig } from "../config.ts";
import { parseInstant } from "../instant.ts";
import { storedRows } from "../store/sqlite/export.ts";
import { openStoreToRead } from "../store/sqlite/open.ts";
import { type Command, UsageError } from "./command.ts";
import { Progress } from "./progress.ts";

/** Writes messages and events to stdout, each as a line of JSON. */
export const exportCommand: Command<{ since: { type: "string" } }> = {
  operands: [],
  summary: "Write all messages and events to stdout, as JSON Lines",
  options: { since: { type: "string" } },
  help: `Usage: whatsapp-inbox export [--since INSTANT]

Writes every message that is stored when it starts, then every event, to stdout:
a line of JSON each, in the order they came, as import takes them. The server
may run and take writes. "payload" is a string: the JSON exactly as it was sent.

Options:
      --since INSTANT  Only what happened then or later, as in GET /messages:
                       YYYY-MM-DDTHH:MM:SS with Z or an offset
  -h, --help           Print this text

Exit codes:
  0  All was written, or the reader wants no more (as head does)
  1  The database can't be read, or stdout can't be written
  2  Wrong arguments`,

  async run({ since }) {
    const sinceMs = since === undefined ? undefined : parseInstant(since);
    if (since !== undefined && sinceMs === undefined) {
      throw new UsageError(
        `Cannot use --since '${since}': no ISO-8601 instant`,
      );
    }
    const db = openStoreToRead(readConfig().databasePath);
    // Lines that are read at the same terminal show by themselves how far it is.
    const progress = Deno.stdout.isTerminal() ? undefined : new Progress();
    const counts = { messages: 0, events: 0 };
    try {
      for (const { table, rows } of storedRows(db, sinceMs)) {
        const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join("");
        await writeAll(new TextEncoder().encode(lines));
        counts[table] += rows.length;
        progress?.show(`${counts.messages} messages, ${counts.events} events`);
      }
      return 0;
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return 0;
      throw error;
    } finally {
      progress?.clear();
      db.close();
    }
  },
};

async function writeAll(bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) {
    bytes = bytes.subarray(await Deno.stdout.write(bytes));
  }
}
