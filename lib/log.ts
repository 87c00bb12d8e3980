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
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * How long lines are gathered for one write. A write costs as much as thirty lines
 * do, most of it for waking up the thread that does it.
 */
const gatherMs = 10;
/** How much may wait for the sink; past it lines are dropped, and counted. */
const maxPendingChars = 8 << 20;
/** How long the last lines may take when the process ends. */
const closeTimeoutMs = 1000;

/**
 * A log that gathers lines, so that many share one write, and that never holds up
 * who writes to it: a log nobody reads must not stop the service.
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
  #dropped = 0;
  /** How many of the dropped lines the log tells of. */
  #toldDropped = 0;
  #brokeOff = false;
  #writing: Promise<void> | undefined;
  #endGathering?: () => void;
  /** The last line's time: at most one is made for each millisecond. */
  #lastMs = 0;
  #lastTs = "";

  constructor(level: LogLevel, sink: Sink = Deno.stdout) {
    this.#threshold = logLevels.indexOf(level);
    this.#sink = sink;
  }

  /** How many lines were dropped since the start. */
  get droppedLines(): number {
    return this.#dropped;
  }

  /** Adds a line, unless its level is below the log's. */
  write(level: LogLevel, fields: Readonly<Record<string, unknown>>): void {
    if (logLevels.indexOf(level) < this.#threshold) return;
    if (this.#pending.length > maxPendingChars) {
      this.#dropped++;
      return;
    }
    this.#add(level, fields);
    this.#writing ??= this.#writePending();
  }

  /** Resolves when all lines are out, or after a second if they can't be. */
  async close(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeTimeoutMs);
    });
    this.#endGathering?.();
    await Promise.race([this.#writing, timeout]);
    clearTimeout(timer);
  }

  #add(level: LogLevel, fields: Readonly<Record<string, unknown>>): void {
    const nowMs = Date.now();
    if (nowMs !== this.#lastMs) {
      this.#lastMs = nowMs;
      this.#lastTs = new Date(nowMs).toISOString();
    }
    const json = toJson(fields);
    const rest = json === "{}" ? "}" : `,${json.slice(1)}`;
    this.#pending += `{"ts":"${this.#lastTs}","level":"${level}"${rest}\n`;
  }

  #gather(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, gatherMs);
      this.#endGathering = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #writePending(): Promise<void> {
    while (this.#pending !== "") {
      await this.#gather();
      const count = this.#dropped - this.#toldDropped;
      if (count > 0) {
        this.#toldDropped = this.#dropped;
        this.#add("WARNING", { message: "log lines dropped", count });
      }
      // A line that could be written only in part must not take in the next one.
      const lineEnd = this.#brokeOff ? "\n" : "";
      let bytes = new TextEncoder().encode(lineEnd + this.#pending);
      this.#pending = "";
      try {
        while (bytes.length > 0) {
          const written = await this.#sink.write(bytes);
          this.#brokeOff = bytes[written - 1] !== newline;
          bytes = bytes.subarray(written);
        }
      } catch {
        // The log's reader is gone (a closed pipe, a full disk). The service goes
        // on: a message must not be lost because its log line is.
      }
    }
    this.#writing = undefined;
  }
}

const newline = "\n".charCodeAt(0);

/** JSON on one line, for readers too that break lines at any Unicode line end. */
function toJson(fields: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(fields).replace(
    /[\x7f\x85\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
