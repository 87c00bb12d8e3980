import assert from "node:assert/strict";
import { message, run, TestServer } from "../harness.ts";
import { lacksPrometheus, Prometheus } from "../prometheus.ts";

async function printed(command: string): Promise<string> {
  const { code, stdout } = await run({ args: [command] });
  assert.equal(code, 0);
  return stdout;
}

/** The dashboard's queries as Grafana would send them. */
async function dashboardQueries(): Promise<string[]> {
  const { panels } = JSON.parse(await printed("grafana"));
  return panels.flatMap(({ targets = [] }) => targets)
    .map(({ expr }: { expr: string }) =>
      expr.replaceAll("$job", "whatsapp-inbox").replaceAll("$instance", ".*")
        .replaceAll("$__rate_interval", "10m")
    );
}

Deno.test({
  name: "Prometheus scrapes the server, tells its rates and judges its rules",
  ignore: lacksPrometheus,
  async fn() {
    await using server = await TestServer.start();
    await using prometheus = await Prometheus.start(
      server.port,
      await printed("alerts"),
    );
    const { until } = prometheus;
    /** The only value of a query, if there is just one. */
    const value = async (expression: string) => {
      const results = await prometheus.query(expression);
      return results.length === 1 ? results[0].value : undefined;
    };
    // Rates need a sample from before.
    await until(
      "up",
      async () =>
        await value('up{job="whatsapp-inbox"}') === 1 &&
        await value('webhook_requests_total{result="created"}') === 0,
    );

    const created = 30;
    const duplicates = 10;
    const ids = Array.from({ length: created }, (_, id) => `m${id}`);
    for (const message_id of [...ids, ...ids.slice(0, duplicates)]) {
      assert.equal(await server.deliver(message({ message_id })), 200);
    }
    const wrong = await server.post("{}", { "x-signature": "0".repeat(64) });
    await wrong.body?.cancel();
    assert.equal(await server.deliver({}), 422);
    await until(
      "all is scraped",
      async () =>
        await value('webhook_requests_total{result="validation_error"}') === 1,
    );

    const rates = await prometheus.query(
      "sum by (result) (rate(webhook_requests_total[10m])) > 0",
    );
    const rateOf = Object.fromEntries(
      rates.map(({ metric, value }) => [metric.result, value]),
    );
    assert.deepEqual(
      Object.keys(rateOf).sort(),
      ["created", "duplicate", "invalid_signature", "validation_error"],
    );
    const ratio = rateOf.created / rateOf.duplicate;
    assert(Math.abs(ratio - created / duplicates) < 0.01, `${ratio}`);
    for (
      const [what, expression] of Object.entries({
        requests:
          'sum(rate(http_request_duration_seconds_bucket{path="/webhook",method="POST"}[10m])) by (le)',
        commits: "sum(rate(store_commit_duration_seconds_bucket[10m])) by (le)",
      })
    ) {
      const seconds = await value(`histogram_quantile(0.99, ${expression})`);
      assert(seconds! > 0 && seconds! <= 10, `${what}: ${seconds}`);
    }
    await until(
      "counted",
      async () => await value("store_messages") === created,
    );
    await until("ready", async () => await value("service_ready") === 1);

    const queries = await dashboardQueries();
    assert(queries.length > 18);
    // A scrape that came too late leaves out what is of the moment.
    for (const query of queries) {
      await until(
        query,
        async () => (await prometheus.query(query)).length > 0,
      );
    }

    interface Rule {
      name: string;
      state: string;
      health: string;
    }
    const rules = async () =>
      (await prometheus.get<{ groups: { rules: Rule[] }[] }>("rules"))
        .groups.flatMap(({ rules }) => rules);
    await until(
      "judged",
      async () => (await rules()).every(({ health }) => health !== "unknown"),
    );
    for (const { name, state, health } of await rules()) {
      assert.equal(health, "ok", name);
      assert.notEqual(state, "firing", name);
    }

    server.signal("SIGTERM");
    await until(
      "noticed",
      async () => await value('ALERTS{alertname="WhatsappInboxDown"}') === 1,
    );
  },
});
