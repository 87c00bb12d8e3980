import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { message, signatureOf, TestServer } from "../harness.ts";
import { storedIds } from "./stored.ts";

/** Delivers until the server is gone; adds the ids it said 200 to. */
async function deliverUntilGone(
  server: TestServer,
  acknowledged: Set<string>,
): Promise<{ unanswered: number }> {
  let unanswered = 0;
  for (;;) {
    const fields = message();
    let status: number;
    try {
      status = await server.deliver(fields);
    } catch {
      return { unanswered: ++unanswered };
    }
    assert([200, 503].includes(status), `${status}`);
    if (status === 200) acknowledged.add(fields.message_id);
  }
}

function missingFrom(stored: Set<string>, acknowledged: Set<string>) {
  return Array.from(acknowledged.difference(stored));
}

Deno.test("kill -9 loses nothing that was acknowledged, in many rounds under load", async () => {
  const dir = await Deno.makeTempDir();
  const acknowledged = new Set<string>();
  for (let round = 1; round <= 8; round++) {
    const server = await TestServer.start({ dir });
    const clients = Array.from(
      { length: 32 },
      () => deliverUntilGone(server, acknowledged),
    );
    // Right after a 200, in the middle of all the others.
    await server.logged(({ result }) => result === "created");
    await server.deliver(message()).then((status) => {
      assert.equal(status, 200);
      server.signal("SIGKILL");
    });
    await Promise.all(clients);
    await server.ended();
    assert.deepEqual(
      missingFrom(storedIds(`${dir}/app.db`), acknowledged),
      [],
      `round ${round}`,
    );
  }
  assert(acknowledged.size > 8 * 32);
  await using server = await TestServer.start({ dir });
  const { total } = await server.get<{ total: number }>("/messages?limit=1");
  assert(total >= acknowledged.size);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SIGTERM during a burst answers every request and keeps every 200", async () => {
  const dir = await Deno.makeTempDir();
  const server = await TestServer.start({ dir });
  const acknowledged = new Set<string>();
  let answered = 0;
  const statuses = new Map<string, number>();
  // All are on their way when the signal comes; none is a new connection then.
  const requests = Array.from({ length: 300 }, async () => {
    const fields = message();
    const status = await server.deliver(fields);
    answered++;
    statuses.set(`${status}`, (statuses.get(`${status}`) ?? 0) + 1);
    if (status === 200) acknowledged.add(fields.message_id);
  });
  await server.loggedTimes(20, ({ result }) => result === "created");
  const startMs = performance.now();
  server.signal("SIGTERM");
  const outcomes = await Promise.allSettled(requests);
  const { code } = await server.ended();
  assert.equal(code, 0);
  assert(performance.now() - startMs < 10_000);
  const refused = outcomes.filter(({ status }) => status === "rejected");
  // A connection that was not yet accepted is refused; an accepted one is served.
  const logged = server.log.filter(({ path }) => path === "/webhook").length;
  assert.equal(answered, logged);
  assert.equal(answered + refused.length, 300);
  assert.deepEqual(
    missingFrom(storedIds(`${dir}/app.db`), acknowledged),
    [],
  );
  const messages = server.log.map(({ message }) => message).filter(Boolean);
  assert.deepEqual(messages.slice(-2), ["stopping", "stopped"]);
  // A clean close leaves one file, with everything in it.
  assert.deepEqual(
    Array.from(Deno.readDirSync(dir), ({ name }) => name),
    ["app.db"],
  );
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SIGTERM loses no request that was sent before it, though none was read yet", async () => {
  await using server = await TestServer.start();
  const connections = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const connection = await server.send(
        "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n",
      );
      assert.match(await connection.read(), /^HTTP\/1\.1 200 /);
      return connection;
    }),
  );
  // A stopped process reads nothing; it finds the signal first when it goes on.
  server.signal("SIGSTOP");
  await Promise.all(connections.map((connection) => {
    const body = JSON.stringify(message());
    return connection.write(
      "POST /webhook HTTP/1.1\r\nHost: x\r\n" +
        `X-Signature: ${signatureOf(body)}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  }));
  server.signal("SIGTERM");
  server.signal("SIGCONT");
  for (const connection of connections) {
    const answer = await connection.read();
    assert.match(answer, /^HTTP\/1\.1 200 [^]*connection: close/i);
    connection[Symbol.dispose]();
  }
  assert.equal((await server.ended()).code, 0);
  assert.equal(storedIds(server.databasePath).size, 100);
});

Deno.test("SIGTERM lets what is in flight finish, and takes nothing new", async () => {
  await using server = await TestServer.start();
  const body = JSON.stringify(message());
  const [slow, endless] = await Promise.all(
    [body, "never sent"].map((body) =>
      server.send(
        "POST /webhook HTTP/1.1\r\nHost: x\r\n" +
          `X-Signature: ${signatureOf(body)}\r\n` +
          `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
      )
    ),
  );
  // The answer to a later request shows that the two are in.
  await server.get("/health/live");
  const startMs = performance.now();
  server.signal("SIGTERM");
  await server.logged("stopping");
  const ready = await server.fetch("/health/ready");
  assert.equal(ready.status, 503);
  assert.match((await ready.json()).detail, /shutting down/);
  // What may have been sent before the signal is taken for a moment longer.
  let late = await server.post(JSON.stringify(message()));
  let stored = 0;
  for (; late.status === 200; stored++) {
    await late.body?.cancel();
    late = await server.post(JSON.stringify(message()));
  }
  assert.equal(late.status, 503);
  assert.notEqual(late.headers.get("retry-after"), null);
  await late.body?.cancel();
  await slow.write(body.slice(5));
  assert.match(await slow.read(), /^HTTP\/1\.1 200 /);
  assert.match(await endless.read(), /^HTTP\/1\.1 503 [^]*retry-after: 1/i);
  assert.equal((await server.ended()).code, 0);
  assert(performance.now() - startMs < 10_000);
  assert.equal(server.query("SELECT * FROM messages").length, stored + 1);
  slow[Symbol.dispose]();
  endless[Symbol.dispose]();
});

Deno.test("a second signal stops at once, one that came twice does not", async () => {
  await using server = await TestServer.start();
  using _endless = await server.send(
    "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
  );
  await server.get("/health/live");
  server.signal("SIGINT");
  server.signal("SIGINT");
  await server.logged("stopping");
  const startMs = performance.now();
  // It goes on answering until the two are past being one.
  while (performance.now() - startMs < 200) await server.get("/health/live");
  server.signal("SIGINT");
  assert.equal((await server.ended()).code, 1);
  assert(performance.now() - startMs < 1500);
});

Deno.test("a lock shorter than the busy timeout only delays", async () => {
  await using server = await TestServer.start();
  const other = new DatabaseSync(server.databasePath);
  other.exec("BEGIN IMMEDIATE");
  const delivery = server.deliver(message());
  // The second request is answered while the first waits for the lock.
  await server.get("/messages");
  other.exec("ROLLBACK");
  other.close();
  assert.equal(await delivery, 200);
});

Deno.test("a log that nobody reads holds up neither requests nor the stop", async () => {
  const dir = await Deno.makeTempDir();
  const server = await TestServer.start({
    dir,
    // The reader of the pipe sleeps for as long as the server lives.
    shell: `mkfifo ${dir}/log && { sleep 20 <${dir}/log >/dev/null 2>&1 & } ` +
      `&& exec "$@" >${dir}/log`,
    until: [],
  });
  await server.ready();
  // Some 200 KB of log: more than a pipe holds.
  for (let n = 0; n < 1000; n++) await server.get("/health/live");
  assert.equal(await server.deliver(message()), 200);
  const startMs = performance.now();
  server.signal("SIGTERM");
  assert.equal((await server.ended()).code, 0);
  assert(performance.now() - startMs < 10_000);
  await Deno.remove(dir, { recursive: true });
});
