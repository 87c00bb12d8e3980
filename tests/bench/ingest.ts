/**
 * How fast deliveries are stored, beside what the same machine can do at most.
 *
 * @module
 */

import { freePort } from "../harness.ts";
import { Client } from "./clients.ts";
import { compare, type Effort, percentile } from "./compare.ts";
import { searches } from "./data.ts";
import { fill, sqliteAlone } from "./fill.ts";
import { printTable } from "./report.ts";
import { ingest } from "./server.ts";
import { type Answers, drive, type Load, prepare } from "./wrk.ts";

/** How many rows those find who read while deliveries come in. */
const rowsToRead = 50_000;

/** Measures ingest and its ceilings, and if wanted ingest while others read. */
export async function measureIngest(
  connections: number,
  { seconds, rounds }: Effort,
  withReaders: boolean,
): Promise<void> {
  await prepare("distinct", rowsToRead, seconds);
  await prepare("repeated", 0, seconds);
  await prepare("forged", 0, seconds);
  const distinct = { kind: "distinct", connections, seconds } as const;
  const clients = [
    new Client("page", (n) => `/messages?offset=${n * 50 % rowsToRead}`),
    new Client("search", () => `/messages?q=${searches.common}`),
    new Client("statistics", () => "/stats"),
  ];
  await compare<Answers>(`Ingest, ${connections} connections`, rounds, {
    "bare Deno.serve": () => driveCeiling("bare", distinct),
    "verify + parse": () => driveCeiling("parse", distinct),
    "ingest": () => ingest(distinct),
    // While the deliveries of some clients are synced, the others send theirs.
    "SQLite alone": () => sqliteAlone(Math.ceil(connections / 2), seconds),
    "duplicates": () => ingest({ ...distinct, kind: "repeated" }),
    "wrong signatures": () => ingest({ ...distinct, kind: "forged" }),
    ...(withReaders && {
      "ingest while others read": async () => {
        const dir = await Deno.makeTempDir();
        await fill(`${dir}/app.db`, 0, rowsToRead);
        const answers = await ingest(distinct, { dir, clients });
        await Deno.remove(dir, { recursive: true });
        return answers;
      },
    }),
  }, ["bare Deno.serve", "verify + parse", "SQLite alone"]);
  if (!withReaders) return;
  const rows = clients.map(({ name, waitsMs }) => ({
    "": name,
    "p50 ms": percentile(waitsMs, 50),
    "p99 ms": percentile(waitsMs, 99),
  }));
  printTable(`Readers beside ${connections} connections`, rows);
}

/** Drives a server that does only a part of the work. */
async function driveCeiling(
  mode: "bare" | "parse",
  load: Load,
): Promise<Answers> {
  const port = freePort();
  const script = `${import.meta.dirname}/ceiling.ts`;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-net", script, mode, `${port}`],
    stdout: "piped",
  }).spawn();
  const reader = process.stdout.getReader();
  await reader.read();
  try {
    return await drive(port, load);
  } finally {
    await reader.cancel();
    process.kill();
    await process.status;
  }
}
