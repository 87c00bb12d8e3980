/**
 * The server itself under load.
 *
 * @module
 */

import assert from "node:assert/strict";
import { TestServer } from "../harness.ts";
import { askDuring, type Client } from "./clients.ts";
import { type Answers, drive, type Load, repeatedCount } from "./wrk.ts";

/**
 * Starts the server with its log where a service's log goes: not to this process.
 *
 * @param dir The folder of the database; by default a new one.
 * @param wrapper A command that runs the server's.
 */
export async function startServer(
  dir?: string,
  wrapper = "",
): Promise<TestServer> {
  const server = await TestServer.start({
    dir,
    shell: `exec ${wrapper} "$@" >${Deno.env.get("TMPDIR")}/server.log`,
    until: [],
  });
  await server.ready();
  return server;
}

/** The server's memory in MiB: `VmRSS` is that of now, `VmHWM` the most it had. */
export async function memoryMib(
  server: TestServer,
  figure: "VmRSS" | "VmHWM",
): Promise<number> {
  // Deno itself reads nothing in /proc, unless it may do everything.
  const { stdout } = await new Deno.Command("cat", {
    args: [`/proc/${server.pid}/status`],
  }).output();
  const pattern = new RegExp(`^${figure}:\\s+(\\d+) kB$`, "m");
  return Number(pattern.exec(new TextDecoder().decode(stdout))![1]) / 1024;
}

/**
 * Delivers to the server and checks that every 200 is a row.
 *
 * @param clients Those who read meanwhile.
 * @returns The most memory that the server had, too.
 */
export async function ingest(
  load: Load,
  { dir, wrapper, clients = [] }: {
    dir?: string;
    wrapper?: string;
    clients?: readonly Client[];
  } = {},
): Promise<Answers & { peakMib: number }> {
  await using server = await startServer(dir, wrapper);
  const [{ last }] = server.query<{ last: number }>(
    "SELECT coalesce(max(seq), 0) AS last FROM messages",
  );
  const origin = `http://127.0.0.1:${server.port}`;
  const answers = await askDuring(origin, clients, drive(server.port, load));
  const [{ rows }] = server.query<{ rows: number }>(
    `SELECT count(*) AS rows FROM messages WHERE seq > ${last}`,
  );
  const [least, most] = {
    // What was in flight when wrk stopped is stored too, but not counted by it.
    distinct: [answers.count, answers.count + load.connections],
    repeated: [1, repeatedCount],
    forged: [0, 0],
  }[load.kind];
  assert(
    least <= rows && rows <= most,
    `${answers.count} answers to ${load.kind} requests, but ${rows} rows`,
  );
  return { ...answers, peakMib: await memoryMib(server, "VmHWM") };
}
