/**
 * The log: one JSON object per line, and the only writer of stdout.
 *
 * @module
 */

/** The levels, from the least to the most severe. */
export const logLevels = ["DEBUG", "INFO", "WARNING", "ERROR"] as const;

/** A level of the log. */
export type LogLevel = typeof logLevels[number];

/** Where lines go. Like `Deno.stdout`, it may take only some of the bytes. */
export interface Sink {
  writeSync(bytes: Uint8Array): number;
}

/** Past this much unwritten text, a line is not held back any longer. */
const maxPendingChars = 1 << 20;

/**
 * A log that gathers the lines of a turn of the event loop into one write.
 *
 * @example
 * ```ts
 * new Log("INFO").write("INFO", { message: "listening", port: 8000 });
 * // {"ts":"2025-01-15T10:00:00.000Z","level":"INFO","message":"listening","port":8000}
 * ```
 */
export class Log {
  readonly #threshold: number;
  readonly #sink: Sink;
  #pending = "";
  #scheduled = false;
  #brokeOff = false;

  constructor(level: LogLevel, sink: Sink = Deno.stdout) {
    this.#threshold = logLevels.indexOf(level);
    this.#sink = sink;
  }

  /** Adds a line, unless its level is below the log's. */
  write(level: LogLevel, fields: Readonly<Record<string, unknown>>): void {
    if (logLevels.indexOf(level) < this.#threshold) return;
    const ts = new Date().toISOString();
    this.#pending += `${toLine({ ts, level, ...fields })}\n`;
    if (this.#pending.length > maxPendingChars) {
      this.flush();
    } else if (!this.#scheduled) {
      this.#scheduled = true;
      setTimeout(() => {
        this.#scheduled = false;
        this.flush();
      }, 0);
    }
  }

  /** Writes what is pending; when it returns, all of it is out. */
  flush(): void {
    // A line that could be written only in part must not take in the next one.
    const lineEnd = this.#brokeOff ? "\n" : "";
    let bytes = new TextEncoder().encode(lineEnd + this.#pending);
    this.#pending = "";
    try {
      while (bytes.length > 0) {
        const written = this.#sink.writeSync(bytes);
        this.#brokeOff = bytes[written - 1] !== newline;
        bytes = bytes.subarray(written);
      }
    } catch {
      // Nobody reads the log any more (a closed pipe, a full disk). The service
      // goes on: a message must not be lost because its log line is.
    }
  }
}

const newline = "\n".charCodeAt(0);

/** JSON on one line, for readers too that break lines at any Unicode line end. */
function toLine(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields).replace(
    /[\x7f\x85\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
