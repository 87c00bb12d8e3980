/**
 * What the benchmark prints: tables on stdout, its progress on stderr.
 *
 * @module
 */

const isTerminal = Deno.stderr.isTerminal();
const clearLine = isTerminal ? "\r\x1b[K" : "";
let phaseName = "";

function writeToStderr(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

/** Tells what is being done now: on a terminal in one line, else in a new one. */
export function phase(name: string): void {
  phaseName = name;
  writeToStderr(isTerminal ? clearLine + name : `${name}\n`);
}

/** Tells on a terminal how far the phase is. */
export function progress(text: string): void {
  if (isTerminal) writeToStderr(`${clearLine}${phaseName}: ${text}`);
}

/** The cells of a row by their column. */
export type Row = Readonly<Record<string, string | number | undefined>>;

const threeDigits = new Intl.NumberFormat("en-US", {
  maximumSignificantDigits: 3,
});
const compact = new Intl.NumberFormat("en-US", { notation: "compact" });

/** 10K, 1M, ... */
export function shortNumber(value: number): string {
  return compact.format(value);
}

/** Prints a Markdown table; the first column holds names, the others numbers. */
export function printTable(title: string, rows: readonly Row[]): void {
  writeToStderr(clearLine);
  const columns = Object.keys(rows[0]);
  const lines = [
    columns,
    columns.map((_, index) => index === 0 ? "-" : "-:"),
    ...rows.map((row) =>
      columns.map((column) => {
        const value = row[column] ?? "";
        return typeof value === "number" ? threeDigits.format(value) : value;
      })
    ),
  ];
  const text = lines.map((cells, line) =>
    cells.map((cell, index) => {
      const width = Math.max(...lines.map((cells) => cells[index].length));
      const filling = line === 1 ? "-" : " ";
      return index === 0
        ? cell.padEnd(width, filling)
        : cell.padStart(width, filling);
    }).join(" | ")
  );
  console.log(`\n${title}\n\n| ${text.join(" |\n| ")} |`);
}
