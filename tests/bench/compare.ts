/**
 * Measurements side by side on a machine that has other things to do, too.
 *
 * @module
 */

import { phase, printTable } from "./report.ts";
import type { Answers } from "./wrk.ts";

/** How long a measurement takes, and how often all of them are repeated. */
export interface Effort {
  readonly seconds: number;
  readonly rounds: number;
}

/**
 * Measures one after the other, all of it several times, and prints medians. A
 * ratio is the median of each round's own: what disturbs a round mostly disturbs
 * all of it.
 *
 * @param references The names of those that the others are compared with.
 * @returns What the rounds gave, by name.
 */
export async function compare<Measured extends Answers>(
  title: string,
  rounds: number,
  measurements: Readonly<Record<string, () => Promise<Measured>>>,
  references: readonly string[],
): Promise<Record<string, Measured[]>> {
  const measured: Record<string, Measured[]> = {};
  for (let round = 1; round <= rounds; round++) {
    for (const [name, measure] of Object.entries(measurements)) {
      phase(`${title}: round ${round} of ${rounds}, ${name}`);
      (measured[name] ??= []).push(await measure());
    }
  }
  const rows = Object.entries(measured).map(([name, results]) => ({
    "": name,
    "1/s": median(results.map(({ perSecond }) => perSecond)),
    ...Object.fromEntries(references.map((reference) => [
      `of ${reference}`,
      median(
        results.map(({ perSecond }, round) =>
          perSecond / measured[reference][round].perSecond
        ),
      ),
    ])),
    "p50 ms": median(results.map(({ p50Ms }) => p50Ms)),
    "p99 ms": median(results.map(({ p99Ms }) => p99Ms)),
  }));
  printTable(title, rows);
  return measured;
}

/** The smallest value that so many percent of the values don't exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(values.length * percent / 100) - 1];
}

/** The value in the middle, or between the two in the middle. */
export function median(values: readonly number[]): number {
  // Of two in the middle percentile() takes the lower: here the one, there the other.
  const reversed = values.map((value) => -value);
  return (percentile(values, 50) - percentile(reversed, 50)) / 2;
}
