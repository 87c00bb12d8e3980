/**
 * How long readers wait, by the number of rows.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { askDuring, Client } from "./clients.ts";
import { percentile } from "./compare.ts";
import { frequentSender, messageAt, searches } from "./data.ts";
import { fill } from "./fill.ts";
import { phase, printTable, type Row, shortNumber } from "./report.ts";
import { memoryMib, startServer } from "./server.ts";

/** How often a query is asked, if there is the time. */
const minRequests = 5;
const maxRequests = 2000;
const searcherCount = 8;

/** Each of them is for the same share of the rows, however many there are. */
function queries(rows: number): Record<string, string> {
  const from = `from=${encodeURIComponent(frequentSender)}`;
  const since = `since=${messageAt(Math.floor(rows * 0.9)).ts}`;
  const paths: Record<string, string> = {
    "first page": "/messages",
    "middle page": `/messages?offset=${Math.floor(rows / 2)}`,
    "last page": `/messages?offset=${rows - 50}`,
    "from": `/messages?${from}`,
    "since": `/messages?${since}`,
    "from and since": `/messages?${from}&${since}`,
  };
  for (const [name, text] of Object.entries(searches)) {
    paths[`q: ${name}`] = `/messages?q=${encodeURIComponent(text)}`;
  }
  return { ...paths, "/stats": "/stats", "/health/ready": "/health/ready" };
}

/**
 * Measures at these sizes, in ascending order, in one database that grows.
 *
 * @param dir Its folder, where it stays with the last size.
 * @param msPerQuery How long to ask a query again and again.
 */
export async function measureReads(
  dir: string,
  sizes: readonly number[],
  msPerQuery: number,
): Promise<void> {
  const path = `${dir}/app.db`;
  const clientsBySize: Client[][] = [];
  const footprints: Row[] = [];
  for (const [index, rows] of sizes.entries()) {
    const size = `${shortNumber(rows)} rows`;
    phase(`Filling a database: ${size}`);
    await fill(path, sizes[index - 1] ?? 0, rows);
    const bytes = (await Deno.stat(path)).size;
    await using server = await startServer(dir);
    const origin = `http://127.0.0.1:${server.port}`;
    const clients = Object.entries(queries(rows))
      .map(([name, path]) => new Client(name, () => path));
    for (const client of clients) {
      phase(`Reads, ${size}: ${client.name}`);
      const startMs = performance.now();
      do {
        await client.ask(origin);
      } while (
        client.waitsMs.length < maxRequests &&
        (client.waitsMs.length < minRequests ||
          performance.now() - startMs < msPerQuery)
      );
    }
    phase(`Reads, ${size}: ${searcherCount} clients search`);
    const search = `/messages?q=${searches["one character"]}`;
    const searcher = new Client("all of these searches", () => search);
    const others = ["/stats", "/health/ready"].map((path) =>
      new Client(`${path} beside ${searcherCount} searches`, () => path)
    );
    const searchers = Array.from({ length: searcherCount }, () => searcher);
    await askDuring(origin, [...others, ...searchers], delay(msPerQuery));
    clientsBySize.push([...clients, ...others, searcher]);
    footprints.push({
      "": size,
      "bytes per message": bytes / rows,
      "reads, peak MiB": await memoryMib(server, "VmHWM"),
    });
  }
  printTable("Reads", waits(sizes.map(shortNumber), clientsBySize));
  printTable("Reads: disk and memory", footprints);
}

/** A row for each query: what it took at each size. */
function waits(sizes: readonly string[], clientsBySize: Client[][]): Row[] {
  const [largest, second] = sizes.toReversed();
  return clientsBySize[0].map(({ name }, index) => {
    const clients = clientsBySize.map((clients) => clients[index]);
    const p50s = clients.map(({ waitsMs }) => percentile(waitsMs, 50));
    const cells = sizes.flatMap((size, index) => [
      [`${size} p50 ms`, p50s[index]],
      [`${size} p99 ms`, percentile(clients[index].waitsMs, 99)],
    ]);
    return {
      "": name,
      [`found of ${largest}`]: JSON.parse(clients.at(-1)!.body).total,
      ...Object.fromEntries(cells),
      ...(second && {
        [`p50 ${largest} / ${second}`]: p50s.at(-1)! / p50s.at(-2)!,
      }),
    };
  });
}
