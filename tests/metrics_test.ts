import assert from "node:assert/strict";
import { Counter, Histogram, Metrics, Reading } from "../lib/metrics.ts";

Deno.test("Metrics.text() gives HELP, TYPE and samples of every family when asked", async () => {
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
    await metrics.text(),
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

Deno.test("Histogram.observe() counts apart what has different label values", () => {
  const histogram = new Histogram("", [10], ["path", "method"]);
  assert.deepEqual(histogram.samples("n"), []);
  histogram.observe(1, ["/a", "GET"]);
  histogram.observe(20, ["/a", "POST"]);
  histogram.observe(2, ["/a", "GET"]);
  histogram.add(["/a", "GET"]);
  histogram.add(["/b", "GET"]);
  assert.deepEqual(histogram.samples("n"), [
    'n_bucket{path="/a",method="GET",le="10"} 2',
    'n_bucket{path="/a",method="GET",le="+Inf"} 2',
    'n_sum{path="/a",method="GET"} 3',
    'n_count{path="/a",method="GET"} 2',
    'n_bucket{path="/a",method="POST",le="10"} 0',
    'n_bucket{path="/a",method="POST",le="+Inf"} 1',
    'n_sum{path="/a",method="POST"} 20',
    'n_count{path="/a",method="POST"} 1',
    'n_bucket{path="/b",method="GET",le="10"} 0',
    'n_bucket{path="/b",method="GET",le="+Inf"} 0',
    'n_sum{path="/b",method="GET"} 0',
    'n_count{path="/b",method="GET"} 0',
  ]);
});

Deno.test("Reading.samples() gives the value of the moment, and nothing while there is none", () => {
  let value: number | undefined;
  const reading = new Reading("gauge", "", () => value);
  assert.deepEqual(reading.samples("n"), []);
  value = 0;
  assert.deepEqual(reading.samples("n"), ["n 0"]);
  value = 1.5;
  assert.deepEqual(reading.samples("n"), ["n 1.5"]);
  const labelled = new Reading("gauge", "", () => 1, { a: '"', b: "y" });
  assert.deepEqual(labelled.samples("n"), ['n{a="\\"",b="y"} 1']);
});

Deno.test("Metrics.text() waits for what is to be done before", async () => {
  const metrics = new Metrics();
  let value = 1;
  metrics.add("n", new Reading("counter", "N.", () => value));
  metrics.beforeText(async () => {
    await Promise.resolve();
    value++;
  });
  const text = (value: number) => `# HELP n N.\n# TYPE n counter\nn ${value}\n`;
  assert.equal(await metrics.text(), text(2));
  assert.equal(await metrics.text(), text(3));
});
