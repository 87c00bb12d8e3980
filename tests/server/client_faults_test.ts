/**
 * What the server does when clients are many, slow, idle or gone: memory and
 * descriptors stay bounded, others are served, no 200 is lost.
 *
 * @module
 */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import {
  message,
  type RawConnection,
  signatureOf,
  TestServer,
} from "../harness.ts";
import { storedIds } from "./stored.ts";

const megabyte = 1 << 20;

/** What a shell command prints about a process; Deno itself may not read /proc. */
async function ofProcess(command: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", command] })
    .output();
  return new TextDecoder().decode(stdout);
}

/** The most memory that a server has used so far, in bytes. */
async function peakRssBytes({ pid }: TestServer): Promise<number> {
  const status = await ofProcess(`cat /proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

async function openFiles({ pid }: TestServer): Promise<number> {
  return Number(await ofProcess(`ls /proc/${pid}/fd | wc -l`));
}

/** Asks until so few files are open. */
async function openFilesFallTo(
  server: TestServer,
  count: number,
): Promise<void> {
  while (await openFiles(server) > count) await delay(10);
}

/** The head of a delivery. */
function head(path: string, contentLength: number, signature: string): string {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\n` +
    `${
      path === "/webhook" ? "X-Signature: " : "X-Hub-Signature-256: sha256="
    }` +
    `${signature}\r\nContent-Length: ${contentLength}\r\n\r\n`;
}

/** The log and the metrics agree on how many deliveries got a 503. */
async function everyRefusalIsLogged(server: TestServer): Promise<void> {
  const refused = await server.metric(
    'webhook_requests_total{result="unavailable"}',
  );
  assert(refused > 0);
  const lines = await server.loggedTimes(
    refused,
    ({ status }) => status === 503,
  );
  assert.equal(lines.length, refused);
}

/** How long a good client's deliveries take, one after the other. */
async function msPerDelivery(server: TestServer): Promise<number> {
  const deliveries = 50;
  const startMs = performance.now();
  for (let n = 0; n < deliveries; n++) {
    assert.equal(await server.deliver(message()), 200);
  }
  return (performance.now() - startMs) / deliveries;
}

Deno.test("600 clients with 3 MB each: memory stays bounded, and a small delivery gets through", async () => {
  await using server = await TestServer.start();
  const idleBytes = await peakRssBytes(server);
  const size = 3_000_000;
  const piece = "x".repeat(60_000);
  const answers = new Map<string, number>();
  const allSent = Promise.withResolvers<void>();
  let sending = 600;
  let isOver = false;
  const flood = Promise.all(Array.from({ length: sending }, async () => {
    const connection = await server.send(
      head("/webhook/whatsapp", size, "0".repeat(64)),
    );
    let answer = "";
    const answered = connection.read().catch(() => "gone")
      .then((text) => answer = text);
    // All of it but the last piece, as long as nobody says no.
    const sent = (async () => {
      for (
        let bytes = piece.length;
        bytes < size && answer === "";
        bytes += piece.length
      ) {
        await connection.write(piece);
      }
    })().catch(() => {});
    await Promise.race([sent, answered]);
    if (--sending === 0) allSent.resolve();
    await allSent.promise;
    if (answer === "") await connection.write(piece).catch(() => {});
    await answered;
    const status = answer.split(" ")[1] ?? answer;
    answers.set(status, (answers.get(status) ?? 0) + 1);
    if (status === "503") assert.match(answer, /retry-after: 1/i);
    connection[Symbol.dispose]();
    await sent;
  })).then(() => isOver = true);
  let delivered = 0;
  while (!isOver) {
    assert.equal(await server.deliver(message()), 200);
    delivered++;
    await delay(50);
  }
  await flood;
  assert(delivered > 0);
  const floodBytes = 600 * size;
  const peakBytes = await peakRssBytes(server);
  assert(
    peakBytes - idleBytes < floodBytes / 2,
    `${idleBytes / megabyte} to ${peakBytes / megabyte} MiB`,
  );
  assert(answers.get("503")! > 0);
  const line = await server.logged(({ status }) => status === 503);
  assert.deepEqual([line.level, line.result, line.reason], [
    "ERROR",
    "unavailable",
    "Too many bodies are on their way",
  ]);
  await everyRefusalIsLogged(server);
  assert.equal(storedIds(server.databasePath).size, delivered);
});

Deno.test("200 clients that send a byte a second slow nobody, and are given up after 30 s", async () => {
  await using server = await TestServer.start();
  const files = await openFiles(server);
  const alone = await msPerDelivery(server);
  const body = JSON.stringify(message());
  const connections = await Promise.all(
    Array.from(
      { length: 200 },
      () => server.send(head("/webhook", body.length, signatureOf(body))),
    ),
  );
  const answers = connections.map((connection) => connection.read());
  const dribble = setInterval(() => {
    for (const connection of connections) connection.write("{").catch(() => {});
  }, 1000);
  const beside = await msPerDelivery(server);
  assert(beside < 10 * alone + 200, `${beside} beside, ${alone} ms alone`);
  for (const answer of await Promise.all(answers)) {
    assert.match(answer, /^HTTP\/1\.1 408 /);
  }
  clearInterval(dribble);
  const lines = await server.loggedTimes(200, ({ status }) => status === 408);
  assert(lines.every(({ result }) => result === "incomplete_body"));
  assert.equal(
    await server.metric('http_requests_total{path="/webhook",status="408"}'),
    200,
  );
  for (const connection of connections) connection[Symbol.dispose]();
  await openFilesFallTo(server, files + 10);
});

Deno.test("clients that vanish in mid-request leave nothing behind", async () => {
  await using server = await TestServer.start();
  const files = await openFiles(server);
  const body = JSON.stringify(message());
  const whole = head("/webhook", body.length, signatureOf(body)) + body;
  // In the middle of the headers, of the body, and before the answer.
  const lengths = [20, whole.length - 10, whole.length];
  for (let round = 0; round < 50; round++) {
    for (const length of lengths) {
      const connection = await server.send(whole.slice(0, length));
      connection[Symbol.dispose]();
    }
  }
  const lines = await server.loggedTimes(50, ({ status }) => status === 400);
  assert(lines.every(({ result }) => result === "incomplete_body"));
  assert.equal(await server.deliver(message()), 200);
  await openFilesFallTo(server, files + 10);
  // Those whose body came in full may have been stored, once.
  assert(storedIds(server.databasePath).size <= 2);
});

Deno.test("1,000 idle connections slow nobody", async () => {
  await using server = await TestServer.start();
  const alone = await msPerDelivery(server);
  const before = await peakRssBytes(server);
  const connections: RawConnection[] = [];
  for (let n = 0; n < 1000; n++) {
    // Nothing, half a head, or a request before.
    const sent = [
      "",
      "GET / HT",
      "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    ];
    connections.push(await server.send(sent[n % 3]));
  }
  const beside = await msPerDelivery(server);
  assert(beside < 10 * alone + 200, `${beside} beside, ${alone} ms alone`);
  const grown = await peakRssBytes(server) - before;
  assert(grown < 128 * megabyte, `${grown} bytes`);
  const startMs = performance.now();
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
  assert(performance.now() - startMs < 10_000);
  for (const connection of connections) connection[Symbol.dispose]();
});

Deno.test("no file descriptor left: what is connected is served, and new connections when others close", async () => {
  await using server = await TestServer.start({
    shell: `ulimit -n 100; exec "$@"`,
  });
  const body = JSON.stringify(message());
  const first = await server.send(
    head("/webhook", body.length, signatureOf(body)) + body.slice(0, 10),
  );
  const others: RawConnection[] = [];
  for (let n = 0; n < 150; n++) {
    try {
      others.push(await server.send(""));
    } catch {
      // It listens no more.
    }
  }
  // The database works without a new descriptor.
  await first.write(body.slice(10));
  assert.match(await first.read(), /^HTTP\/1\.1 200 /);
  for (const connection of [first, ...others]) connection[Symbol.dispose]();
  const line = await server.logged(
    "connections can't be accepted, listening anew",
  );
  assert.equal(line.level, "ERROR");
  assert.match(`${line.error}`, /Too many open files/);
  await server.ready();
  assert.equal(await server.deliver(message()), 200);
  assert.equal(storedIds(server.databasePath).size, 2);
});

/** A delivery of many messages: much work in one request. */
function manyMessages(count: number): { ids: string[]; body: string } {
  const ids = Array.from({ length: count }, () => crypto.randomUUID());
  const messages = ids.map((id) => ({
    from: "919876543210",
    id,
    timestamp: "1736935200",
    type: "text",
    text: { body: "Hello" },
  }));
  const value = {
    metadata: { display_phone_number: "14155550100" },
    messages,
  };
  const changes = [{ field: "messages", value }];
  return {
    ids,
    body: JSON.stringify({
      object: "whatsapp_business_account",
      entry: [{ id: "1", changes }],
    }),
  };
}

/** Delivers far more than can be stored, until it is over or nobody answers. */
async function flood(
  server: TestServer,
  acknowledged: Set<string>,
  isOver: () => boolean,
): Promise<void> {
  await Promise.all(Array.from({ length: 100 }, async () => {
    while (!isOver()) {
      const { ids, body } = manyMessages(400);
      let response: Response;
      try {
        response = await server.postWhatsapp(body);
      } catch {
        return;
      }
      await response.body?.cancel();
      if (response.status === 200) {
        for (const id of ids) acknowledged.add(id);
      } else {
        assert.equal(response.status, 503);
        assert.equal(response.headers.get("retry-after"), "1");
      }
    }
  }));
}

Deno.test("a flood beyond capacity gets 503 in bounded memory, and is over when it ends", async () => {
  await using server = await TestServer.start();
  const alone = await msPerDelivery(server);
  const acknowledged = storedIds(server.databasePath);
  let isOver = false;
  const flooding = flood(server, acknowledged, () => isOver);
  const lines = await server.loggedTimes(50, ({ status }) => status === 503);
  assert(lines.every(({ reason }) => reason === "queue_full"));
  await server.loggedTimes(50, ({ status }) => status === 200);
  isOver = true;
  await flooding;
  const startMs = performance.now();
  const last = message();
  assert.equal(await server.deliver(last), 200);
  const recoveryMs = performance.now() - startMs;
  assert(recoveryMs < 1000 + 10 * alone, `${recoveryMs}, ${alone} ms alone`);
  acknowledged.add(last.message_id);
  assert((await server.fetch("/health/ready")).ok);
  const peakBytes = await peakRssBytes(server);
  assert(peakBytes < 768 * megabyte, `${peakBytes} bytes`);
  await everyRefusalIsLogged(server);
  assert.deepEqual(storedIds(server.databasePath), acknowledged);
});

Deno.test("SIGTERM in the middle of a flood ends it within 10 s, and no 200 is lost", async () => {
  await using server = await TestServer.start();
  const acknowledged = new Set<string>();
  const flooding = flood(server, acknowledged, () => false);
  await server.loggedTimes(20, ({ status }) => status === 503);
  await server.loggedTimes(20, ({ status }) => status === 200);
  const startMs = performance.now();
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
  assert(performance.now() - startMs < 10_000);
  await flooding;
  const stored = storedIds(server.databasePath);
  assert.deepEqual(Array.from(acknowledged.difference(stored)), []);
});
