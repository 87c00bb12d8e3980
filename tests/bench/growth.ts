/**
 * What a large database costs beside an empty one: ingest, start, memory.
 *
 * @module
 */

import { compare, type Effort, median } from "./compare.ts";
import { phase, printTable, shortNumber } from "./report.ts";
import { ingest } from "./server.ts";
import { measureStart } from "./start.ts";
import { prepare } from "./wrk.ts";

/**
 * Measures both.
 *
 * @param dir The folder of the large database, which holds the messages from
 * number 0 to below number `rows`; afterwards it holds more.
 */
export async function measureGrowth(
  dir: string,
  rows: number,
  connections: number,
  { seconds, rounds }: Effort,
): Promise<void> {
  const load = { kind: "distinct", connections, seconds } as const;
  const large = `${shortNumber(rows)} rows`;
  let next = rows;
  const ingested = await compare(
    `Growth: ingest, ${connections} connections`,
    rounds,
    {
      "empty": async () => {
        // Those of the round before are in the large database already.
        next = await prepare("distinct", next, seconds);
        return await ingest(load);
      },
      [large]: () => ingest(load, { dir }),
    },
    ["empty"],
  );
  const table = [];
  for (const [name, folder] of [["empty", undefined], [large, dir]] as const) {
    phase(`Growth: start, ${name}`);
    const { readyMs, idleMib } = await measureStart(folder);
    table.push({
      "": name,
      "start to ready ms": readyMs,
      "idle MiB": idleMib,
      "ingest, peak MiB": median(ingested[name].map((run) => run.peakMib)),
    });
  }
  printTable("Growth: start and memory", table);
}
