/**
 * How far something is, for whoever waits for it at a terminal.
 *
 * @module
 */

/** A number of bytes for people. */
export function readableSize(bytes: number): string {
  return bytes < 1e9
    ? `${(bytes / 1e6).toFixed(1)} MB`
    : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Where progress is shown, such as `Deno.stderr`. */
export interface Terminal {
  isTerminal(): boolean;
  writeSync(bytes: Uint8Array): number;
}

/** What takes less time than this shows nothing. */
const firstMs = 1000;
const intervalMs = 200;
const clearLine = "\r\x1b[K";

/**
 * A line on a terminal that says how far something is and is gone at the end.
 * Where there is no terminal, nothing is written.
 */
export class Progress {
  readonly #terminal: Terminal;
  #nextMs: number;
  #isShown = false;

  constructor(terminal: Terminal = Deno.stderr) {
    this.#terminal = terminal;
    this.#nextMs = terminal.isTerminal()
      ? performance.now() + firstMs
      : Infinity;
  }

  /** Shows the text, unless the last one was shown just before. */
  show(text: string): void {
    const nowMs = performance.now();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + intervalMs;
    this.#isShown = true;
    this.#write(clearLine + text);
  }

  /** Shows for how long something has been going on. */
  async during<T>(what: string, task: Promise<T>): Promise<T> {
    const startMs = performance.now();
    const timer = setInterval(() => {
      const seconds = Math.floor((performance.now() - startMs) / 1000);
      this.show(`${what}: ${seconds} s`);
    }, intervalMs);
    try {
      return await task;
    } finally {
      clearInterval(timer);
    }
  }

  /** Takes the line away, for the end or for other text. */
  clear(): void {
    if (this.#isShown) this.#write(clearLine);
    this.#isShown = false;
  }

  #write(text: string): void {
    this.#terminal.writeSync(new TextEncoder().encode(text));
  }
}
