/**
 * Debian's `prometheus` package: Prometheus itself, and promtool.
 *
 * @module
 */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, lacks } from "./harness.ts";

/** `true` where tests that need the package are left out; CI must have it. */
export const lacksPrometheus = lacks("promtool");

/** Runs promtool: its exit code, and what it said. */
export async function promtool(args: readonly string[], input = "") {
  const process = new Deno.Command("promtool", {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await new Blob([input]).stream().pipeTo(process.stdin);
  const { code, stdout, stderr } = await process.output();
  const said = new TextDecoder().decode(stdout) +
    new TextDecoder().decode(stderr);
  return { code, said };
}

/** A result of a query: a series' labels and its value. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

const pollMs = 100;
/** How long anything may take on a busy machine. */
const deadlineMs = 120_000;

/** A Prometheus of its own that scrapes one target. */
export class Prometheus implements AsyncDisposable {
  private constructor(
    readonly port: number,
    private readonly dir: string,
    private readonly process: Deno.ChildProcess,
  ) {}

  /** @param rules What is in the file of rules. */
  static async start(targetPort: number, rules: string): Promise<Prometheus> {
    const dir = await Deno.makeTempDir();
    await Deno.writeTextFile(`${dir}/rules.yml`, rules);
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: ["rules.yml"],
      scrape_configs: [{
        job_name: "whatsapp-inbox",
        static_configs: [{ targets: [`127.0.0.1:${targetPort}`] }],
      }],
    };
    // JSON is YAML.
    await Deno.writeTextFile(`${dir}/prometheus.yml`, JSON.stringify(config));
    const port = freePort();
    const process = new Deno.Command("prometheus", {
      args: [
        `--config.file=${dir}/prometheus.yml`,
        `--storage.tsdb.path=${dir}/data`,
        `--web.listen-address=127.0.0.1:${port}`,
        "--log.level=error",
      ],
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
    const prometheus = new Prometheus(port, dir, process);
    await prometheus.until("ready", async () => {
      const url = `http://127.0.0.1:${port}/-/ready`;
      const response = await fetch(url).catch(() => undefined);
      await response?.body?.cancel();
      return response?.ok;
    });
    return prometheus;
  }

  /** `GET` of its HTTP API. */
  async get<T>(path: string): Promise<T> {
    const url = `http://127.0.0.1:${this.port}/api/v1/${path}`;
    const { status, data, error } = await (await fetch(url)).json();
    assert.equal(status, "success", error);
    return data;
  }

  async query(expression: string): Promise<Sample[]> {
    const { result } = await this.get<
      {
        result: {
          metric: Sample["metric"];
          value: [seconds: number, value: string];
        }[];
      }
    >(`query?query=${encodeURIComponent(expression)}`);
    return result.map(({ metric, value: [, value] }) => ({
      metric,
      value: Number(value),
    }));
  }

  /** Asks again and again until something is so. */
  async until(
    what: string,
    isSo: () => Promise<boolean | undefined>,
  ): Promise<void> {
    const startMs = performance.now();
    while (!await isSo()) {
      assert(performance.now() - startMs < deadlineMs, `never: ${what}`);
      await delay(pollMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGTERM");
    await this.process.status;
    await Deno.remove(this.dir, { recursive: true });
  }
}
