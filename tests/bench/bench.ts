/**
 * `deno task bench`: how fast deliveries are stored, measured from outside with
 * wrk (Debian's package) against the server as a process.
 *
 * @module
 */

import assert from "node:assert/strict";
import { message, signatureOf, TestServer } from "../harness.ts";

const secondsPerRun = 5;
const threads = 2;
/** More than any run sends, so that every delivery is a new message. */
const preparedPerSecond = 40_000;

async function prepare(file: string): Promise<void> {
  const lines: string[] = [];
  for (let n = 0; n < secondsPerRun * preparedPerSecond; n++) {
    const body = JSON.stringify(message({
      from: `+9198765${String(n % 5000).padStart(5, "0")}`,
      ts: new Date(1_736_935_200_000 + n * 10).toISOString(),
      text: `Is the blue one in stock? Order ${n}`,
    }));
    lines.push(`${signatureOf(body)} ${body}\n`);
  }
  await Deno.writeTextFile(file, lines.join(""));
}

async function run(connections: number, file: string) {
  await using server = await TestServer.start({ env: { LOG_LEVEL: "INFO" } });
  const { success, stdout, stderr } = await new Deno.Command("wrk", {
    args: [
      `--threads=${Math.min(threads, connections)}`,
      `--connections=${connections}`,
      `--duration=${secondsPerRun}s`,
      "--latency",
      `--script=${import.meta.dirname}/ingest.lua`,
      `http://127.0.0.1:${server.port}`,
      "--",
      file,
      `${Math.min(threads, connections)}`,
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const result = /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$/m.exec(
    new TextDecoder().decode(stdout),
  )!;
  const [answered, durationUs, p50Us, p99Us, errors] = result.slice(1).map(
    Number,
  );
  const [{ rows }] = server.query<{ rows: number }>(
    "SELECT count(*) AS rows FROM messages",
  );
  // What was in flight when wrk stopped is stored too, but not counted by it.
  assert(rows >= answered - errors, `${answered} answers, ${rows} rows`);
  return {
    connections,
    "stored/s": Math.round(answered / (durationUs / 1e6)),
    "p50 ms": p50Us / 1000,
    "p99 ms": p99Us / 1000,
    errors,
    rows,
  };
}

const dir = await Deno.makeTempDir();
try {
  await prepare(`${dir}/deliveries`);
  const results = [];
  for (const connections of [1, 64, 256]) {
    results.push(await run(connections, `${dir}/deliveries`));
  }
  console.table(results);
} finally {
  await Deno.remove(dir, { recursive: true });
}
