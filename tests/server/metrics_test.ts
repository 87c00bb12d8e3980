import assert from "node:assert/strict";
import denoConfig from "../../deno.json" with { type: "json" };
import { message, run, TestServer } from "../harness.ts";
import { lacksPrometheus, promtool } from "../prometheus.ts";

async function scrape(server: TestServer): Promise<string> {
  return await (await server.fetch("/metrics")).text();
}

Deno.test("GET /metrics has the families of the contract from the start", async () => {
  await using server = await TestServer.start();
  const response = await server.fetch("/metrics");
  assert.equal(
    response.headers.get("content-type"),
    "text/plain; version=0.0.4; charset=utf-8",
  );
  const text = await response.text();
  for (const family of text.matchAll(/^# TYPE (\S+) /gm)) {
    assert.match(text, new RegExp(`^# HELP ${family[1]} \\S`, "m"));
  }
  for (
    const result of [
      "created",
      "duplicate",
      "invalid_signature",
      "validation_error",
      "too_large",
      "unavailable",
    ]
  ) {
    assert.match(
      text,
      new RegExp(`^webhook_requests_total{result="${result}"} 0$`, "m"),
    );
  }
  const bounds = Array.from(
    text.matchAll(/^request_latency_ms_bucket{le="([^"]+)"}/gm),
    ([, le]) => le,
  );
  assert.deepEqual(
    bounds,
    "10 25 50 100 250 500 1000 2500 5000 10000 +Inf".split(" "),
  );
});

Deno.test("GET /metrics counts requests by route and status", async () => {
  await using server = await TestServer.start();
  await server.deliver(message({ message_id: "m" }));
  await server.deliver(message({ message_id: "m" }));
  await server.deliver({});
  await (await server.fetch("/messages?limit=0")).body?.cancel();
  const expected = {
    'http_requests_total{path="/webhook",status="200"}': 2,
    'http_requests_total{path="/webhook",status="422"}': 1,
    'http_requests_total{path="/messages",status="422"}': 1,
    'webhook_requests_total{result="created"}': 1,
    'webhook_requests_total{result="duplicate"}': 1,
    'webhook_requests_total{result="validation_error"}': 1,
  };
  for (const [series, value] of Object.entries(expected)) {
    assert.equal(await server.metric(series), value, series);
  }
  const text = await scrape(server);
  const count = Number(/^request_latency_ms_count (\d+)$/m.exec(text)![1]);
  const all = Number(
    /^request_latency_ms_bucket{le="\+Inf"} (\d+)$/m.exec(text)![1],
  );
  assert.equal(count, all);
  assert.equal(count, 4 + Object.keys(expected).length);
});

Deno.test("GET /metrics grows by no line when 500 random paths are asked for", async () => {
  await using server = await TestServer.start();
  const before = await scrape(server);
  await Promise.all(Array.from({ length: 500 }, async () => {
    const response = await server.fetch(`/${crypto.randomUUID()}?x=1`);
    assert.equal(response.status, 404);
    await response.body?.cancel();
  }));
  const after = await scrape(server);
  assert.equal(after.split("\n").length, before.split("\n").length);
  assert.equal(
    await server.metric('http_requests_total{path="unmatched",status="404"}'),
    500,
  );
});

Deno.test("GET /metrics tells requests apart by route and method, and knows few of either", async () => {
  await using server = await TestServer.start();
  await server.deliver(message());
  for (const method of ["HEAD", "PUT", "FROBNICATE"]) {
    for (const path of ["/messages", "/nope", "/webhook"]) {
      await (await server.fetch(path, { method })).body?.cancel();
    }
  }
  const count = (labels: string) =>
    server.metric(`http_request_duration_seconds_count{${labels}}`);
  assert.equal(await count('path="/webhook",method="POST"'), 1);
  assert.equal(await count('path="/messages",method="HEAD"'), 1);
  assert.equal(await count('path="/messages",method="other"'), 2);
  assert.equal(await count('path="/webhook",method="other"'), 3);
  assert.equal(await count('path="unmatched",method="other"'), 3);
  const text = await scrape(server);
  assert(!/PUT|FROBNICATE|nope/.test(text));
  const bounds = Array.from(
    text.matchAll(/path="\/webhook",method="POST",le="([^"]+)"/g),
    ([, le]) => le,
  );
  assert.equal(bounds[0], "0.0005");
  assert.deepEqual(bounds.slice(-2), ["10", "+Inf"]);
});

Deno.test("GET /metrics tells how many requests are in flight, itself too", async () => {
  await using server = await TestServer.start();
  const inFlight = () => server.metric("http_requests_in_flight");
  assert.equal(await inFlight(), 1);
  {
    using _unfinished = await server.send(
      "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
    );
    while (await inFlight() !== 2);
  }
  while (await inFlight() !== 1);
});

Deno.test("GET /metrics tells of batches, commits, rows and bytes", async () => {
  await using server = await TestServer.start();
  assert(!/^store_last_commit\w+ /m.test(await scrape(server)), "no commit");
  const startMs = Date.now();
  const ids = ["a", "b", "c", "a"];
  await Promise.all(
    ids.map((message_id) => server.deliver(message({ message_id }))),
  );
  const endMs = Date.now();
  const metric = (name: string) => server.metric(name);
  assert.equal(await metric("store_messages"), 3);
  assert.equal(await metric("store_events"), 0);
  assert.equal(await metric("store_batch_rows_sum"), 4);
  const commits = await metric("store_batch_rows_count");
  assert(commits >= 1 && commits <= 4, `${commits}`);
  assert.equal(await metric("store_commit_duration_seconds_count"), commits);
  const seconds = await metric("store_commit_duration_seconds_sum");
  assert(seconds > 0 && seconds * 1000 < commits * (endMs - startMs));
  const lastMs = 1000 * await metric("store_last_commit_timestamp_seconds");
  assert(lastMs >= startMs - 1 && lastMs <= endMs + 1, `${lastMs}`);
  assert.equal(await metric("store_queue_rows"), 0);
  for (const [name, file] of [["database", "app.db"], ["wal", "app.db-wal"]]) {
    const { size } = await Deno.stat(`${server.dir}/${file}`);
    assert.equal(await metric(`store_${name}_bytes`), size);
  }
  const { stdout } = await new Deno.Command("df", {
    args: ["--block-size=1", "--output=avail", server.dir],
  }).output();
  const [, available] = new TextDecoder().decode(stdout).split("\n");
  const ratio = await metric("store_disk_free_bytes") / Number(available);
  assert(ratio > 0.9 && ratio < 1.1, `${ratio}`);
});

Deno.test("GET /metrics tells how the process is, under the usual names", async () => {
  const startSeconds = Date.now() / 1000;
  await using server = await TestServer.start();
  const readySeconds = Date.now() / 1000;
  const started = await server.metric("process_start_time_seconds");
  assert(started > startSeconds - 1 && started < readySeconds, `${started}`);

  /** The sum of some fields of the process's line in `/proc`. */
  const fromProc = async (file: string, fields: number[]) => {
    const { stdout } = await new Deno.Command("cat", {
      args: [`/proc/${server.pid}/${file}`],
    }).output();
    // What stands before the last ")" is the program's name.
    const values = new TextDecoder().decode(stdout).split(") ").at(-1)!
      .split(" ");
    return fields.reduce((sum, field) => sum + Number(values[field]), 0);
  };
  const pageBytes = 4096;
  const rss = await server.metric("process_resident_memory_bytes");
  const ratio = rss / (pageBytes * await fromProc("statm", [1]));
  assert(ratio > 0.8 && ratio < 1.25, `${ratio}`);
  // utime and stime, in hundredths of a second.
  const cpuSeconds = async () => await fromProc("stat", [11, 12]) / 100;
  const atLeast = await cpuSeconds();
  const cpu = await server.metric("process_cpu_seconds_total");
  const atMost = await cpuSeconds();
  assert(cpu > atLeast - 0.03 && cpu < atMost + 0.03, `${cpu}`);

  const text = await scrape(server);
  const [, version] = text.match(/^build_info{version="([^"]+)",.*} 1$/m)!;
  assert.equal(version, denoConfig.version);
});

Deno.test("GET /metrics answers with what is known when the database can't be opened", async () => {
  await using server = await TestServer.start({
    env: { DATABASE_URL: "sqlite:////no/such/folder/app.db" },
    until: ["listening"],
  });
  assert.equal(await server.deliver(message()), 503);
  const response = await server.fetch("/metrics");
  assert.equal(response.status, 200);
  const text = await response.text();
  assert.match(text, /^service_ready 0$/m);
  assert.match(text, /^store_queue_rows 0$/m);
  assert.match(text, /^store_commit_duration_seconds_count 0$/m);
  assert.doesNotMatch(text, /^store_(messages|events|\w+_bytes) /m);
});

Deno.test("GET /metrics says whether the service is ready", async () => {
  await using server = await TestServer.start();
  assert.equal(await server.metric("service_ready"), 1);
  await using blind = await TestServer.start({
    env: { WEBHOOK_SECRET: undefined },
  });
  assert.equal(await blind.metric("service_ready"), 0);
  assert.equal(await blind.metric("store_messages"), 0);
});

/** A line of the text: a series. */
interface Series {
  name: string;
  labels: Map<string, string>;
}

function parse(text: string): Series[] {
  return Array.from(
    text.matchAll(/^(\w+)(?:{(.*)})? \S+$/gm),
    ([, name, labels = ""]) => ({
      name,
      labels: new Map(
        Array.from(
          labels.matchAll(/(\w+)="([^"]*)"/g),
          ([, label, value]) => [label, value],
        ),
      ),
    }),
  );
}

/** What Prometheus adds to every series. */
const addedLabels = ["job", "instance"];
/** All words of the queries that are neither metrics nor labels. */
const operators = new Set([
  ..."absent by changes delta histogram_quantile increase".split(" "),
  ..."predict_linear rate sum time and or".split(" "),
]);

/** Checks that a query names nothing that isn't there. */
function checkQuery(query: string, legend: string, live: readonly Series[]) {
  const known = new Set(addedLabels);
  const rest = query.replace(
    /(\w+){([^}]*)}(?:\[[^\]]+\])?/g,
    (_selector, name, matchers) => {
      let series = name === "up"
        ? [{ name, labels: new Map() }]
        : live.filter((series) => series.name === name);
      for (
        const [, label, operator, value] of matchers.matchAll(
          /(\w+)(=~|!=|=)"([^"]*)"/g,
        )
      ) {
        if (addedLabels.includes(label)) continue;
        series = series.filter(({ labels }) =>
          labels.has(label) &&
          // No request has failed here.
          (label === "status" || operator === "!=" ||
            new RegExp(`^(${value})$`).test(labels.get(label)!))
        );
      }
      assert(series.length > 0, `no series ${name}{${matchers}}: ${query}`);
      for (const label of series[0].labels.keys()) known.add(label);
      return "";
    },
  );
  for (const [, labels] of rest.matchAll(/ by \(([^)]*)\)/g)) {
    for (const label of labels.split(", ")) {
      assert(known.has(label), `no label ${label}: ${query}`);
    }
  }
  for (const [, label] of legend.matchAll(/{{(\w+)}}/g)) {
    assert(known.has(label), `no label ${label}: ${query}`);
  }
  // A metric without a selector would be seen here.
  for (
    const [word] of rest.replace(/by \([^)]*\)/g, "").matchAll(/[a-z]\w*/g)
  ) {
    assert(operators.has(word), `${word}: ${query}`);
  }
}

Deno.test("GET /metrics has every metric and label that the alerts and the dashboard name", async () => {
  await using server = await TestServer.start();
  await server.deliver(message());
  const live = parse(await scrape(server));
  const rules = (await run({ args: ["alerts"] })).stdout;
  const expressions = Array.from(
    rules.matchAll(/ expr:(?: >-)?\s([^]*?)\n {8}(?:for|labels):/g),
    ([, query]) => query,
  );
  assert.equal(expressions.length, rules.split("- alert:").length - 1);
  for (const expression of expressions) checkQuery(expression, "", live);
  const { panels } = JSON.parse((await run({ args: ["grafana"] })).stdout);
  for (const { targets = [] } of panels) {
    for (const { expr, legendFormat } of targets) {
      checkQuery(expr, legendFormat, live);
    }
  }
});

Deno.test({
  name: "GET /metrics passes promtool check metrics",
  ignore: lacksPrometheus,
  async fn() {
    await using server = await TestServer.start();
    await server.deliver(message());
    await (await server.fetch("/nope")).body?.cancel();
    const { said } = await promtool(["check", "metrics"], await scrape(server));
    // Its only complaint is the contract's unit: milliseconds, not seconds.
    assert.deepEqual(
      said.trim().split("\n").filter((line) =>
        !line.startsWith("request_latency_ms ")
      ),
      [],
    );
  },
});
