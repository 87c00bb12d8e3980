/**
 * Whether what was answered with 200 is on disk: syncs, counted from outside the
 * process.
 *
 * @module
 */

import assert from "node:assert/strict";
import { phase, printTable } from "./report.ts";
import { ingest } from "./server.ts";
import { prepare } from "./wrk.ts";

/**
 * Counts syncs with strace. As a client sends its next delivery when the last one
 * is answered, no sync can cover more deliveries than there are clients.
 */
export async function countSyncs(
  connectionCounts: readonly number[],
  seconds: number,
): Promise<void> {
  await prepare("distinct", 0, seconds);
  const file = `${Deno.env.get("TMPDIR")}/syncs`;
  const rows = [];
  for (const connections of connectionCounts) {
    phase(`Syncs, ${connections} connections`);
    // With -D the process that is told to stop is the server, not strace.
    const wrapper = "strace -D -qq --seccomp-bpf -f -c -U calls,name " +
      `-e trace=fsync,fdatasync -o ${file}`;
    const load = { kind: "distinct", connections, seconds } as const;
    const { count } = await ingest(load, { wrapper });
    const summary = await Deno.readTextFile(file);
    const syncs = Array.from(summary.matchAll(/^ *(\d+) f(data)?sync$/gm))
      .reduce((sum, [, calls]) => sum + Number(calls), 0);
    assert(
      syncs * connections >= count,
      `${syncs} syncs for ${count} 200s to ${connections} clients`,
    );
    rows.push({
      "connections": `${connections}`,
      "200s": count,
      "syncs": syncs,
      "200s per sync": count / syncs,
    });
  }
  printTable("Syncs, counted by strace", rows);
}
