/**
 * `deno task soak`: a mixed load on the server, as a process, at half of what it
 * can take, for as long as wanted; then what is wrong. See `--help`.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { TestServer } from "../harness.ts";
import { percentile } from "./compare.ts";
import { fill } from "./fill.ts";
import { inFolder } from "./folder.ts";
import { MixedLoad, numberOf, repeatedText } from "./mixed_load.ts";
import { readOptions } from "./options.ts";
import { phase } from "./report.ts";
import { memoryMib } from "./server.ts";

const help = `Usage: deno task soak [--minutes=N]

Starts the server (or SERVER_COMMAND), measures how many deliveries it takes, and
sends half as many: simple and WhatsApp, repeated, forged, malformed, broken off
and slow ones, beside readers. At the end every acknowledged message has to be a
row, memory flat, the log of the database bounded, and the stop a clean one.

  --minutes=N  For how long (default: 60)
  -h, --help   Print this text

Exit codes: 0 if all is well, 1 with a line for each thing that is not, 2 for
wrong arguments.`;

/** What is stored before: with it the caches are soon as large as they get. */
const rowsBefore = 200_000;
const capacityMs = 5000;
const sampleIntervalMs = 1000;
/** How much memory may grow in the second half: as much as the writer's cache holds. */
const maxGrowthMib = 64;
/** Twice the length from which on searches wait until the log can start over. */
const maxWalMib = 256;
const maxStopMs = 10_000;

/** What is seen every second. */
interface Sample {
  readonly seconds: number;
  readonly memoryMib: number;
  readonly walMib: number;
}

async function sizeMib(path: string): Promise<number> {
  return (await Deno.stat(path)).size / 2 ** 20;
}

/**
 * How much memory grows in the second half, by its regression line, in MiB: what a
 * garbage collector gives back now and then doesn't hide it.
 */
function growthMib(samples: readonly Sample[]): number {
  const half = samples.slice(samples.length / 2);
  const mean = (values: number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanSeconds = mean(half.map(({ seconds }) => seconds));
  const meanMib = mean(half.map(({ memoryMib }) => memoryMib));
  const slope = mean(
    half.map(({ seconds, memoryMib }) =>
      (seconds - meanSeconds) * (memoryMib - meanMib)
    ),
  ) / mean(half.map(({ seconds }) => (seconds - meanSeconds) ** 2));
  return slope * (half.at(-1)!.seconds - half[0].seconds);
}

/** What is to be seen of a server, unless it has ended. */
async function look(
  server: TestServer,
  seconds: number,
): Promise<Sample | undefined> {
  try {
    return {
      seconds,
      memoryMib: await memoryMib(server, "VmRSS"),
      walMib: await sizeMib(`${server.databasePath}-wal`),
    };
  } catch {
    return undefined;
  }
}

/** Prints a line for each interval while the load runs. */
async function watch(
  server: TestServer,
  load: MixedLoad,
  end: Promise<void>,
  intervalMs: number,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startMs = performance.now();
  let isDone = false;
  end.finally(() => isDone = true);
  let lineMs = startMs;
  let { answered } = load;
  console.log(
    " min:s deliveries/s   p50 ms   p99 ms   503 faults  RSS MiB  WAL MiB   DB MiB",
  );
  while (!isDone) {
    await Promise.race([end, delay(sampleIntervalMs)]);
    const nowMs = performance.now();
    const seconds = (nowMs - startMs) / 1000;
    const sample = await look(server, seconds);
    if (sample === undefined) break;
    samples.push(sample);
    if (nowMs - lineMs < intervalMs) continue;
    const waitsMs = load.waitsMs.splice(0);
    if (waitsMs.length === 0) waitsMs.push(NaN);
    const cells: [value: number, width: number, digits: number][] = [
      [(load.answered - answered) / (nowMs - lineMs) * 1000, 13, 0],
      [percentile(waitsMs, 50), 9, 1],
      [percentile(waitsMs, 99), 9, 1],
      [load.unavailable, 6, 0],
      [load.faults.size, 7, 0],
      [sample.memoryMib, 9, 0],
      [sample.walMib, 9, 1],
      [await sizeMib(server.databasePath), 9, 0],
    ];
    const minutes = Math.floor(seconds / 60);
    const time = `${minutes}:${`${Math.floor(seconds % 60)}`.padStart(2, "0")}`;
    console.log(
      time.padStart(6) +
        cells.map(([value, width, digits]) =>
          value.toFixed(digits).padStart(width)
        ).join(""),
    );
    lineMs = nowMs;
    answered = load.answered;
  }
  return samples;
}

/** Whether memory stayed flat and the log bounded. */
function judge(samples: readonly Sample[]): string[] {
  const growth = growthMib(samples);
  const wal = Math.max(...samples.map(({ walMib }) => walMib));
  console.log(
    `In the second half memory grew by ${growth.toFixed(1)} MiB; ` +
      `the WAL had up to ${wal.toFixed(1)} MiB`,
  );
  const faults = [];
  if (growth > maxGrowthMib) {
    faults.push(`memory grew by ${growth.toFixed(1)} MiB in the second half`);
  }
  if (wal > maxWalMib) faults.push(`the WAL grew to ${wal.toFixed(1)} MiB`);
  return faults;
}

/** Compares the rows with what was sent and acknowledged. */
function findLosses(path: string, load: MixedLoad): string[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare(
    `SELECT message_id AS id, text = ? AS isRepetition
       FROM messages WHERE seq > ${rowsBefore}`,
  ).iterate(repeatedText);
  const stored = new Uint8Array(load.sent);
  let unsent = 0;
  let replaced = 0;
  let doubled = 0;
  for (const { id, isRepetition } of rows) {
    const n = numberOf(id as string);
    if (!(n < load.sent)) unsent++;
    else if (stored[n]++ > 0) doubled++;
    if (isRepetition) replaced++;
  }
  db.close();
  let lost = 0;
  for (let n = 0; n < load.sent; n++) {
    if (load.acknowledged[n] > stored[n]) lost++;
  }
  return Object.entries({
    "acknowledged messages are no rows": lost,
    "messages are rows more than once": doubled,
    "rows were never to be stored": unsent,
    "repetitions took the place of the first": replaced,
  }).filter(([, count]) => count > 0).map(([what, count]) =>
    `${count} ${what}`
  );
}

/** Runs it and returns what is wrong. */
async function soak(dir: string, minutes: number): Promise<string[]> {
  phase(`Filling a database: ${rowsBefore} rows\n`);
  await fill(`${dir}/app.db`, 0, rowsBefore);
  await using server = await TestServer.start({
    dir,
    shell: 'exec "$@" >/dev/null',
    until: [],
  });
  await server.ready();
  const load = new MixedLoad(server);
  let hasEnded = false;
  const ended = server.ended();
  ended.then(() => {
    hasEnded = true;
    load.stop();
  });
  phase("Measuring how much it takes\n");
  await load.run(Infinity, capacityMs);
  const capacity = load.answered / (capacityMs / 1000);
  console.log(`Capacity: ${capacity.toFixed(0)} deliveries/s`);
  load.waitsMs = [];

  const durationMs = minutes * 60_000;
  const intervalMs = Math.min(60_000, Math.max(5000, durationMs / 60));
  const run = load.run(capacity / 2, durationMs);
  const samples = await watch(server, load, run, intervalMs);
  await run;
  if (hasEnded) {
    const { code, stderr } = await ended;
    return [
      `the server ended by itself, with ${code}: ${stderr}`,
      ...findLosses(server.databasePath, load),
    ];
  }

  const faults = judge(samples);
  const { total_messages } = await server.get("/stats");
  const stopMs = performance.now();
  server.signal("SIGTERM");
  const { code, stderr } = await ended;
  const tookMs = performance.now() - stopMs;
  if (code !== 0) faults.push(`SIGTERM ended it with ${code}: ${stderr}`);
  if (tookMs > maxStopMs) faults.push(`the stop took ${tookMs} ms`);
  faults.push(...findLosses(server.databasePath, load));
  const [{ rows }] = server.query("SELECT count(*) AS rows FROM messages");
  if (total_messages !== rows) {
    faults.push(`/stats counts ${total_messages} messages, there are ${rows}`);
  }
  for (const [fault, count] of load.faults) faults.push(`${count} x ${fault}`);
  console.log(
    `${load.answered} deliveries, ${load.unavailable} x 503; ${rows} rows; ` +
      `stopped in ${tookMs.toFixed(0)} ms`,
  );
  return faults;
}

/** @returns The exit code. */
async function main(): Promise<number> {
  const options = readOptions(help, {
    minutes: { type: "string", default: "60" },
  });
  const minutes = Number(options.minutes);
  if (!(minutes > 0 && minutes < Infinity)) {
    console.error(
      `Cannot use --minutes=${options.minutes}: expected a number above 0`,
    );
    return 2;
  }
  const faults = await inFolder((dir) => soak(dir, minutes));
  for (const fault of faults) console.error(`Wrong: ${fault}`);
  if (faults.length === 0) console.log("All is well");
  return faults.length === 0 ? 0 : 1;
}

Deno.exit(await main());
