import assert from "node:assert/strict";
import { message, TestServer } from "../harness.ts";

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
  await scrape(server);
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

/** Whether Debian's `prometheus` package is there; CI must have it. */
function hasPromtool(): boolean {
  try {
    new Deno.Command("promtool", { args: ["--version"] }).outputSync();
    return true;
  } catch {
    return false;
  }
}

Deno.test({
  name: "GET /metrics passes promtool check metrics",
  ignore: !hasPromtool() && Deno.env.get("CI") === undefined,
  async fn() {
    await using server = await TestServer.start();
    await server.deliver(message());
    await (await server.fetch("/nope")).body?.cancel();
    const promtool = new Deno.Command("promtool", {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stdin = promtool.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(await scrape(server)));
    await stdin.close();
    const { stdout, stderr } = await promtool.output();
    const complaints = new TextDecoder().decode(stdout) +
      new TextDecoder().decode(stderr);
    // Its only complaint is the contract's unit: milliseconds, not seconds.
    assert.deepEqual(
      complaints.trim().split("\n").filter((line) =>
        !line.startsWith("request_latency_ms ")
      ),
      [],
    );
  },
});
