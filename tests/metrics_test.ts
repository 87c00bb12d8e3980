import assert from "node:assert/strict";
import { Counter, Histogram, Metrics } from "../lib/metrics.ts";

Deno.test("Metrics.text() gives HELP, TYPE and samples of every family when asked", () => {
  const metrics = new Metrics();
  const requests = metrics.add(
    "http_requests_total",
    new Counter("HTTP requests.", ["path", "status"]),
  );
  const latency = metrics.add(
    "request_latency_ms",
    new Histogram("Latency.", [10, 25]),
  );
  requests.add(["/webhook", "200"]);
  latency.observe(12.5);
  assert.equal(
    metrics.text(),
    `# HELP http_requests_total HTTP requests.
# TYPE http_requests_total counter
http_requests_total{path="/webhook",status="200"} 1
# HELP request_latency_ms Latency.
# TYPE request_latency_ms histogram
request_latency_ms_bucket{le="10"} 0
request_latency_ms_bucket{le="25"} 1
request_latency_ms_bucket{le="+Inf"} 1
request_latency_ms_sum 12.5
request_latency_ms_count 1
`,
  );
});

Deno.test("Counter.add() adds to the series of its label values when called again", () => {
  const counter = new Counter("", ["result"]);
  counter.add(["created"], 0);
  counter.add(["duplicate"]);
  counter.add(["duplicate"]);
  counter.add(["duplicate"], 3);
  assert.deepEqual(counter.samples("n"), [
    'n{result="created"} 0',
    'n{result="duplicate"} 5',
  ]);
});

Deno.test("Counter.samples() keeps series apart when their values join to the same text", () => {
  const counter = new Counter("", ["a", "b"]);
  counter.add(["x,y", "z"]);
  counter.add(["x", "y,z"]);
  counter.add(["", ""]);
  assert.deepEqual(counter.samples("n"), [
    'n{a="x,y",b="z"} 1',
    'n{a="x",b="y,z"} 1',
    'n{a="",b=""} 1',
  ]);
});

Deno.test("Counter.samples() escapes when a label value holds \\, a quote or a line end", () => {
  const counter = new Counter("", ["path"]);
  counter.add(['\\n"\n\\']);
  assert.deepEqual(counter.samples("n"), ['n{path="\\\\n\\"\\n\\\\"} 1']);
});

Deno.test("Histogram.observe() counts into the first bucket whose bound is not below", () => {
  const cases: [value: number, counts: [number, number, number]][] = [
    [0, [1, 1, 1]],
    [10, [1, 1, 1]],
    [10.001, [0, 1, 1]],
    [25, [0, 1, 1]],
    [25.001, [0, 0, 1]],
    [1e9, [0, 0, 1]],
  ];
  for (const [value, [to10, to25, all]] of cases) {
    const histogram = new Histogram("", [10, 25]);
    histogram.observe(value);
    assert.deepEqual(histogram.samples("n"), [
      `n_bucket{le="10"} ${to10}`,
      `n_bucket{le="25"} ${to25}`,
      `n_bucket{le="+Inf"} ${all}`,
      `n_sum ${value}`,
      "n_count 1",
    ]);
  }
});

Deno.test("Histogram.samples() gives cumulative buckets when there are many observations", () => {
  const histogram = new Histogram("", [10, 25]);
  assert.deepEqual(histogram.samples("n").at(-1), "n_count 0");
  for (const value of [30, 1, 20, 2, 3]) histogram.observe(value);
  assert.deepEqual(histogram.samples("n"), [
    'n_bucket{le="10"} 3',
    'n_bucket{le="25"} 4',
    'n_bucket{le="+Inf"} 5',
    "n_sum 56",
    "n_count 5",
  ]);
});
