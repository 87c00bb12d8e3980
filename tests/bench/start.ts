/**
 * What the server costs before anyone asks it for anything.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { serverCommand, TestServer } from "../harness.ts";
import { median } from "./compare.ts";
import { phase, printTable } from "./report.ts";
import { memoryMib } from "./server.ts";

const starts = 5;
/** A server that was asked nothing for so long is idle. */
const idleAfterMs = 1000;

/**
 * Starts the server several times.
 *
 * @param dir The folder of its database; by default a new one each time.
 */
export async function measureStart(
  dir?: string,
): Promise<{ readyMs: number; idleMib: number }> {
  const startsMs: number[] = [];
  const idleMib: number[] = [];
  while (startsMs.length < starts) {
    const startMs = performance.now();
    await using server = await TestServer.start({ dir });
    await server.get("/health/ready");
    startsMs.push(performance.now() - startMs);
    await delay(idleAfterMs);
    idleMib.push(await memoryMib(server, "VmRSS"));
  }
  return { readyMs: median(startsMs), idleMib: median(idleMib) };
}

/** Measures and prints it, with the size of what is started. */
export async function printStart(): Promise<void> {
  const [program, ...args] = serverCommand();
  phase("Start");
  const { readyMs, idleMib } = await measureStart();
  printTable("Start", [{
    "": args.length === 0 ? program : "from the sources",
    "MB": (await Deno.stat(program)).size / 1e6,
    "start to ready ms": readyMs,
    "idle MiB": idleMib,
  }]);
}
