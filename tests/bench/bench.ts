/**
 * `deno task bench`: how fast deliveries are stored, measured from outside with
 * wrk (Debian's package) against the server as a process, beside what the same
 * machine can do at most. `--quick` gives the essentials.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { providers } from "../../lib/providers/providers.ts";
import { migrate } from "../../lib/store/sqlite/schema.ts";
import { Writer } from "../../lib/store/sqlite/writer.ts";
import { freePort, message, signatureOf, TestServer } from "../harness.ts";

const isQuick = Deno.args.includes("--quick");
const secondsPerRun = isQuick ? 3 : 5;
/** More than any server here answers. */
const preparedPerSecond = 50_000;
/** What a commit takes when 256 clients deliver. */
const rowsPerBatch = 128;

interface Measured {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  answers: number;
  refused: number;
}

function bodyOf(n: number): string {
  return JSON.stringify(message({
    from: `+9198765${String(n % 5000).padStart(5, "0")}`,
    ts: new Date(1_736_935_200_000 + n * 10).toISOString(),
    text: `Is the blue one in stock? Order ${n}`,
  }));
}

/** Writes signed deliveries, one a line; all of them distinct. */
async function prepare(file: string, count: number, key?: string) {
  const lines = Array.from({ length: count }, (_, n) => {
    const body = bodyOf(n);
    return `${signatureOf(body, key)} ${body}\n`;
  });
  await Deno.writeTextFile(file, lines.join(""));
}

/** Drives a server with wrk. */
async function drive(
  port: number,
  connections: number,
  file: string,
  mode: "once" | "repeat",
): Promise<Measured> {
  const threads = Math.min(2, connections);
  const { success, stdout, stderr } = await new Deno.Command("wrk", {
    args: [
      `--threads=${threads}`,
      `--connections=${connections}`,
      `--duration=${secondsPerRun}s`,
      "--latency",
      `--script=${import.meta.dirname}/ingest.lua`,
      `http://127.0.0.1:${port}`,
      "--",
      file,
      `${threads}`,
      mode,
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const [answers, durationUs, p50Us, p99Us, refused, failed] = /^RESULT (.*)$/m
    .exec(new TextDecoder().decode(stdout))![1]
    .split(" ").map(Number);
  assert.equal(failed, 0, "every request has an answer");
  return {
    perSecond: answers / (durationUs / 1e6),
    p50Ms: p50Us / 1000,
    p99Ms: p99Us / 1000,
    answers,
    refused,
  };
}

/** A ceiling: a server that does only a part of the work. */
async function ceiling(
  mode: "bare" | "parse",
  connections: number,
  file: string,
): Promise<Measured> {
  const port = freePort();
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-net",
      `${import.meta.dirname}/ceiling.ts`,
      mode,
      `${port}`,
    ],
    stdout: "piped",
  }).spawn();
  const reader = process.stdout.getReader();
  await reader.read();
  try {
    return await drive(port, connections, file, "repeat");
  } finally {
    await reader.cancel();
    process.kill();
    await process.status;
  }
}

/** The third ceiling: the writer alone, without HTTP, as fast as it can. */
function sqliteAlone(dir: string): number {
  const [simple] = providers;
  const encoder = new TextEncoder();
  const db = new DatabaseSync(`${dir}/alone.db`);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  migrate(db);
  const writer = new Writer(db);
  let rows = 0;
  let workMs = 0;
  while (workMs < secondsPerRun * 1000) {
    const batch = Array.from({ length: rowsPerBatch }, () => {
      const parsed = simple.parse(encoder.encode(bodyOf(rows++)));
      assert(parsed.ok);
      return parsed.delivery;
    });
    const startMs = performance.now();
    writer.insert(batch);
    workMs += performance.now() - startMs;
  }
  db.close();
  return rows / (workMs / 1000);
}

/** The server itself; checks that it stored what it said it did. */
async function ingest(
  connections: number,
  file: string,
  mode: "once" | "repeat",
): Promise<Measured> {
  // Its log goes where a service's log goes, not through this process.
  await using server = await TestServer.start({
    shell: `exec "$@" >${file}.log`,
    until: [],
  });
  await server.ready();
  const measured = await drive(server.port, connections, file, mode);
  const [{ rows }] = server.query<{ rows: number }>(
    "SELECT count(*) AS rows FROM messages",
  );
  if (mode === "once") {
    // What was in flight when wrk stopped is stored too, but not counted by it.
    assert(rows >= measured.answers, `${measured.answers} 200s, ${rows} rows`);
  }
  return measured;
}

const dir = await Deno.makeTempDir();
try {
  const distinct = `${dir}/distinct`;
  const few = `${dir}/few`;
  const forged = `${dir}/forged`;
  await prepare(distinct, secondsPerRun * preparedPerSecond);
  await prepare(few, 1000);
  await prepare(forged, 1000, "another secret");

  const table: Record<string, Record<string, number>> = {};
  const add = (name: string, measured: Measured, of?: Measured) => {
    table[name] = {
      "per second": Math.round(measured.perSecond),
      ...(of && {
        "of verify + parse":
          Math.round(measured.perSecond / of.perSecond * 100) /
          100,
      }),
      "p50 ms": Math.round(measured.p50Ms * 100) / 100,
      "p99 ms": Math.round(measured.p99Ms * 100) / 100,
    };
  };
  for (const connections of isQuick ? [256] : [1, 64, 256]) {
    const parse = await ceiling("parse", connections, distinct);
    add(
      `ceiling: bare Deno.serve, ${connections}`,
      await ceiling("bare", connections, distinct),
      parse,
    );
    add(`ceiling: verify + parse, ${connections}`, parse, parse);
    add(
      `ingest, ${connections}`,
      await ingest(connections, distinct, "once"),
      parse,
    );
    add(
      `duplicates, ${connections}`,
      await ingest(connections, few, "repeat"),
      parse,
    );
    const wrong = await ingest(connections, forged, "repeat");
    assert.equal(wrong.refused, wrong.answers);
    add(`wrong signatures, ${connections}`, wrong, parse);
  }
  table[`ceiling: SQLite alone, batches of ${rowsPerBatch}`] = {
    "per second": Math.round(sqliteAlone(dir)),
  };
  console.table(table);
} finally {
  await Deno.remove(dir, { recursive: true });
}
