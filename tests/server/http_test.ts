import assert from "node:assert/strict";
import { message, TestServer } from "../harness.ts";

Deno.test("an unknown path is 404 and a wrong method 405, in JSON", async () => {
  await using server = await TestServer.start();
  for (const path of ["/", "/nope", "/webhook/", "//webhook", "/Stats"]) {
    const response = await server.fetch(path);
    assert.equal(response.status, 404, path);
    assert.deepEqual(await response.json(), { detail: "Not Found" });
  }
  const allowed: [string, string, string][] = [
    ["GET", "/webhook", "POST"],
    ["HEAD", "/webhook", "POST"],
    ["POST", "/messages", "GET, HEAD"],
    ["DELETE", "/stats", "GET, HEAD"],
    ["PUT", "/health/live", "GET, HEAD"],
    ["PATCH", "/health/ready", "GET, HEAD"],
    ["OPTIONS", "/metrics", "GET, HEAD"],
  ];
  for (const [method, path, allow] of allowed) {
    const response = await server.fetch(path, { method });
    assert.equal(response.status, 405, `${method} ${path}`);
    assert.equal(response.headers.get("allow"), allow);
    const text = await response.text();
    if (method !== "HEAD") {
      assert.equal(text, '{"detail":"Method Not Allowed"}');
    }
  }
});

Deno.test("HEAD answers like GET, without the body", async () => {
  await using server = await TestServer.start();
  const paths = ["/messages", "/stats", "/health/live", "/health/ready"];
  for (const path of [...paths, "/metrics"]) {
    const get = await server.fetch(path);
    const head = await server.fetch(path, { method: "HEAD" });
    assert.equal(head.status, 200, path);
    assert.equal(
      head.headers.get("content-type"),
      get.headers.get("content-type"),
    );
    assert.equal(await head.text(), "");
    assert.notEqual(await get.text(), "");
  }
});

Deno.test("every answer has a request id of its own, which the log has too", async () => {
  await using server = await TestServer.start();
  const requests: [path: string, clientId: string | undefined][] = [
    ["/stats", "client-1"],
    ["/nope", "x".repeat(128)],
    ["/stats", "x".repeat(129)],
    ["/stats", "two words"],
    ["/stats", undefined],
  ];
  const ids = new Set<string>();
  for (const [path, clientId] of requests) {
    const response = await server.fetch(path, {
      headers: clientId === undefined ? {} : { "x-request-id": clientId },
    });
    await response.body?.cancel();
    const id = response.headers.get("x-request-id")!;
    assert.notEqual(id, clientId);
    ids.add(id);
    const line = await server.logged(({ request_id }) => request_id === id);
    const sane = clientId !== undefined && /^\S{1,128}$/.test(clientId);
    assert.equal(line.client_request_id, sane ? clientId : undefined);
    assert.equal(line.path, path);
    assert.equal(line.method, "GET");
    assert.equal(line.status, response.status);
    assert.equal(line.level, response.ok ? "INFO" : "WARNING");
    assert(typeof line.latency_ms === "number" && line.latency_ms > 0);
  }
  assert.equal(ids.size, requests.length);
});

Deno.test("odd requests get an answer and a log line, and leave the server well", async () => {
  await using server = await TestServer.start();
  const end = "Connection: close\r\n\r\n";
  const requests: [request: string, status: RegExp][] = [
    [`GET /a%zz%00\\"?q=%zz HTTP/1.1\r\nHost: a b:::\r\n${end}`, / 404 /],
    [`GET //evil/../x HTTP/1.1\r\nHost: \r\n${end}`, / 404 /],
    [`GET http://other/stats HTTP/1.1\r\nHost: x\r\n${end}`, / 200 /],
    [`GET http://other?x HTTP/1.1\r\nHost: x\r\n${end}`, / 404 /],
    [`OPTIONS * HTTP/1.1\r\nHost: x\r\n${end}`, / 404 /],
    [`BREW /stats HTTP/1.1\r\nHost: x\r\n${end}`, / 405 /],
    [`GET /messages?q=%ff%fe HTTP/1.1\r\nHost: x\r\n${end}`, / 200 /],
    [
      `GET /messages?${"&".repeat(5000)} HTTP/1.1\r\nHost: x\r\n${end}`,
      / 200 /,
    ],
    [`GET /nope HTTP/1.1\r\nHost: x/stats?a=\r\n${end}`, / 400 /],
    [`GET /nope HTTP/1.1\r\nHost: x/stats#\r\n${end}`, / 400 /],
    ["GARBAGE\r\n\r\n", / 400 /],
  ];
  for (const [request, status] of requests) {
    using connection = await server.send(request);
    assert.match((await connection.read()).split("\r\n")[0], status, request);
  }
  const served = requests.length - 1;
  await server.loggedTimes(served, ({ status }) => status !== undefined);
  assert.equal(await server.deliver(message()), 200);
});

Deno.test("LOG_LEVEL leaves out what is below it", async () => {
  await using server = await TestServer.start({
    env: { LOG_LEVEL: "warning" },
    until: [],
  });
  await server.ready();
  await (await server.fetch("/nope")).body?.cancel();
  const line = await server.logged(({ status }) => status === 404);
  assert.equal(line.level, "WARNING");
  assert(server.log.every(({ level }) => /^(WARNING|ERROR)$/.test(level)));
});

Deno.test("200 clients at once are all served", async () => {
  await using server = await TestServer.start();
  const client = async (n: number) => {
    for (let round = 0; round < 10; round++) {
      const message_id = `${n}-${round}`;
      assert.equal(await server.deliver(message({ message_id })), 200);
      const q = n % 2 === 0 ? "/stats" : `/messages?q=hello&limit=5`;
      await server.get(q);
    }
  };
  await Promise.all(Array.from({ length: 200 }, (_, n) => client(n)));
  assert.equal((await server.get("/stats")).total_messages, 2000);
});
