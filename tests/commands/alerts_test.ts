import assert from "node:assert/strict";
import { run } from "../harness.ts";
import { lacksPrometheus, promtool } from "../prometheus.ts";

async function printedRules(): Promise<string> {
  const { code, stdout, stderr } = await run({ args: ["alerts"] });
  assert.equal(code, 0);
  assert.equal(stderr, "");
  return stdout;
}

Deno.test("alerts prints rules that each have a severity, a summary and what to do", async () => {
  const [, ...rules] = (await printedRules()).split("      - alert: ");
  assert(rules.length > 10);
  for (const rule of rules) {
    assert.match(rule, /^WhatsappInbox\w+\n/);
    assert.match(rule, /\n {10}severity: (critical|warning)\n/);
    assert.match(rule, /\n {10}summary: .{20}/);
    assert.match(rule, /\n {10}description: >-\n {12}.{30}/);
  }
});

/** Every minute of two hours. */
const healthy = {
  up: "1x120",
  service_ready: "1x120",
  'http_requests_total{path="/webhook",status="200"}': "0+600x120",
  'http_requests_total{path="/webhook",status="503"}': "0x120",
  // A probe that says "not ready" is no error.
  'http_requests_total{path="/health/ready",status="503"}': "0+4x120",
  'webhook_requests_total{result="created"}': "0+600x120",
  'webhook_requests_total{result="invalid_signature"}': "0+1x120",
  'webhook_requests_total{result="unavailable"}': "0x120",
  store_commit_duration_seconds_count: "0+60x120",
  'store_commit_duration_seconds_bucket{le="0.1"}': "0+60x120",
  'store_commit_duration_seconds_bucket{le="1"}': "0+60x120",
  'store_commit_duration_seconds_bucket{le="+Inf"}': "0+60x120",
  store_queue_rows: "0 2000 0x118",
  store_wal_bytes: "60000000x120",
  // 6 GB an hour: enough for a month.
  store_disk_free_bytes: "5000000000000-100000000x120",
  process_resident_memory_bytes: "250000000x120",
  process_start_time_seconds: "1700000000x80 1700004800x39",
  log_lines_dropped_total: "0x120",
};

/** What is different when each alert has to fire. */
const troubles: Record<string, Partial<typeof healthy>> = {
  Down: { up: "1x60 0x60" },
  NotReady: { service_ready: "1x60 0x60" },
  Errors: {
    'http_requests_total{path="/webhook",status="503"}': "0x60 0+60x60",
  },
  NothingStored: {
    'webhook_requests_total{result="unavailable"}': "0x60 0+2x60",
    store_commit_duration_seconds_count: "0+60x60 3600x60",
  },
  InvalidSignatures: {
    'webhook_requests_total{result="invalid_signature"}': "0x60 0+100x60",
  },
  QueueFilling: { store_queue_rows: "0x60 6000x60" },
  CommitsSlow: {
    'store_commit_duration_seconds_bucket{le="0.1"}': "0+57x120",
  },
  WalGrowing: { store_wal_bytes: "0+50000000x120" },
  DiskNearlyFull: { store_disk_free_bytes: "1000000000x120" },
  DiskFullSoon: { store_disk_free_bytes: "50000000000-100000000x120" },
  MemoryHigh: { process_resident_memory_bytes: "250000000x60 1200000000x60" },
  RestartsOften: { process_start_time_seconds: "1700000000x60 1+60x60" },
  LogDropped: { log_lines_dropped_total: "0x85 0+10x35" },
};

/** Which alerts fire after ninety minutes, as a unit test of promtool. */
function unitTest(
  name: string,
  series: Partial<typeof healthy>,
  firing: readonly string[],
) {
  const isOfJob = 'job="whatsapp-inbox",instance="inbox:8000"';
  return {
    name,
    interval: "1m",
    input_series: Object.entries(series).map(([series, values]) => ({
      series: series.includes("{")
        ? series.replace("{", `{${isOfJob},`)
        : `${series}{${isOfJob}}`,
      values,
    })),
    promql_expr_test: [{
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: "90m",
      exp_samples: firing.map((alert) => ({
        labels: `{alertname="WhatsappInbox${alert}"}`,
        value: 1,
      })),
    }],
  };
}

Deno.test({
  name:
    "alerts prints rules that promtool finds right, and that fire when they should and only then",
  ignore: lacksPrometheus,
  async fn() {
    const rules = await printedRules();
    const dir = await Deno.makeTempDir();
    await Deno.writeTextFile(`${dir}/rules.yml`, rules);
    const check = await promtool(["check", "rules", `${dir}/rules.yml`]);
    assert.equal(check.code, 0, check.said);

    const names = Array.from(
      rules.matchAll(/- alert: WhatsappInbox(\w+)/g),
      ([, name]) => name,
    );
    assert.deepEqual(names.sort(), Object.keys(troubles).sort());
    const unitTests = [
      unitTest("healthy", healthy, []),
      unitTest("gone from the configuration", {}, ["Down"]),
      ...Object.entries(troubles).map(([alert, series]) =>
        unitTest(alert, { ...healthy, ...series }, [alert])
      ),
    ];
    const path = `${dir}/test.yml`;
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        rule_files: ["rules.yml"],
        evaluation_interval: "1m",
        tests: unitTests,
      }),
    );
    const { code, said } = await promtool(["test", "rules", path]);
    assert.equal(code, 0, said);
    await Deno.remove(dir, { recursive: true });
  },
});

Deno.test({
  name: "alerts prints rules that the README's configuration takes in",
  ignore: lacksPrometheus,
  async fn() {
    const readme = new URL("../../README.md", import.meta.url);
    const [, config] = (await Deno.readTextFile(readme))
      .match(/```yaml\n(rule_files:[^]*?)```/)!;
    const dir = await Deno.makeTempDir();
    const path = `${dir}/prometheus.yml`;
    await Deno.writeTextFile(path, config);
    const rules = `${dir}/whatsapp-inbox.rules.yml`;
    await Deno.writeTextFile(rules, await printedRules());
    const { code, said } = await promtool(["check", "config", path]);
    assert.equal(code, 0, said);
    assert(said.includes("1 rule files found"), said);
    await Deno.remove(dir, { recursive: true });
  },
});
