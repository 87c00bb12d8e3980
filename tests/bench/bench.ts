/**
 * `deno task bench`: what the server does, as a process and seen from outside,
 * beside what the same machine can do at most. See `--help`.
 *
 * @module
 */

import { inFolder } from "./folder.ts";
import { measureGrowth } from "./growth.ts";
import { measureIngest } from "./ingest.ts";
import { readOptions } from "./options.ts";
import { measureReads } from "./reads.ts";
import { printStart } from "./start.ts";
import { countSyncs } from "./syncs.ts";

const help = `Usage: deno task bench [--quick] [--rows=N] | --start

Drives the server with wrk and prints tables: ingest beside its ceilings, syncs
(counted by strace), reads by the number of rows, growth. Takes half an hour, and
up to 10 GB in TMPDIR (default: /var/tmp), which is the disk that is measured.

  --quick     The essentials, in less than a minute
  --rows=N    The size of the largest database, from 1000
              (default: 10000000, with --quick 100000)
  --start     Only what a start takes: time to ready, idle memory, size
  -h, --help  Print this text`;

/** What is measured, and how long. */
const plans = {
  full: {
    connectionCounts: [1, 64, 256],
    connectionsBesideReaders: 64,
    ingest: { seconds: 5, rounds: 3 },
    syncSeconds: 2,
    sizes: [10_000, 1_000_000, 10_000_000],
    msPerQuery: 2000,
    growth: { seconds: 5, rounds: 3 },
  },
  quick: {
    connectionCounts: [256],
    connectionsBesideReaders: 256,
    ingest: { seconds: 1, rounds: 2 },
    syncSeconds: 1,
    sizes: [10_000, 100_000],
    msPerQuery: 200,
    growth: { seconds: 1, rounds: 2 },
  },
} as const;

/** Whether a shell command ends well. */
function succeeds(command: string): boolean {
  return new Deno.Command("sh", { args: ["-c", command] }).outputSync().success;
}

/** Runs the benchmark and returns the exit code: 2 for wrong arguments. */
async function main(): Promise<number> {
  const options = readOptions(help, {
    quick: { type: "boolean", default: false },
    rows: { type: "string" },
    start: { type: "boolean", default: false },
  });
  if (options.start) {
    await inFolder(printStart);
    return 0;
  }
  const plan = plans[options.quick ? "quick" : "full"];
  const rows = Number(options.rows ?? plan.sizes.at(-1));
  if (!Number.isSafeInteger(rows) || rows < 1000) {
    console.error(
      `Cannot use --rows=${options.rows}: expected a number from 1000`,
    );
    return 2;
  }
  if (!succeeds("command -v wrk")) {
    console.error("Cannot measure without wrk: apt install wrk");
    return 1;
  }
  const canTrace = succeeds("strace -f -o /dev/null true");
  if (!canTrace) {
    console.error(
      "No syncs are counted: strace is missing (apt install strace) or may not trace",
    );
  }
  await inFolder(async () => {
    for (const connections of plan.connectionCounts) {
      const withReaders = connections === plan.connectionsBesideReaders;
      await measureIngest(connections, plan.ingest, withReaders);
    }
    if (canTrace) await countSyncs(plan.connectionCounts, plan.syncSeconds);
    const large = await Deno.makeTempDir();
    const sizes = [...plan.sizes.filter((size) => size < rows), rows];
    await measureReads(large, sizes, plan.msPerQuery);
    await measureGrowth(large, rows, 256, plan.growth);
  });
  return 0;
}

Deno.exit(await main());
