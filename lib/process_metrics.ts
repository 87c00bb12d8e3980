/**
 * The metrics of the process, under the names that all client libraries use.
 *
 * `process_open_fds` and `process_max_fds` are not among them: to read them from
 * `/proc` Deno wants all permissions.
 *
 * @see https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
 * @module
 */

import process from "node:process";
import denoConfig from "../deno.json" with { type: "json" };
import { type Metrics, Reading } from "./metrics.ts";

/** Adds the families of the process, and which program it runs. */
export function addProcessMetrics(metrics: Metrics): void {
  metrics.add(
    "process_resident_memory_bytes",
    new Reading(
      "gauge",
      "Resident memory size in bytes.",
      () => Deno.memoryUsage().rss,
    ),
  );
  metrics.add(
    "process_cpu_seconds_total",
    new Reading(
      "counter",
      "Total user and system CPU time spent in seconds.",
      () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1e6;
      },
    ),
  );
  metrics.add(
    "process_start_time_seconds",
    new Reading(
      "gauge",
      "Start time of the process since unix epoch in seconds.",
      () => performance.timeOrigin / 1000,
    ),
  );
  const { deno, v8, sqlite } = process.versions;
  metrics.add(
    "build_info",
    new Reading("gauge", "Always 1; the labels say what runs.", () => 1, {
      version: denoConfig.version,
      deno: `${deno}`,
      v8: `${v8}`,
      // Deno 2.4 doesn't tell; an empty label is none.
      sqlite: sqlite ?? "",
    }),
  );
}
