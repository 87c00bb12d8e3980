import assert from "node:assert/strict";
import { message, TestServer } from "../harness.ts";
import { storedIds } from "./stored.ts";

/** Debian's libfaketime, which sets a process's clock; CI must have it. */
function findFaketime(): string | undefined {
  const { stdout } = new Deno.Command("sh", {
    args: ["-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1"],
    stderr: "null",
  }).outputSync();
  return new TextDecoder().decode(stdout).trim() || undefined;
}

const faketime = findFaketime();
const hourMs = 3_600_000;

Deno.test({
  name:
    "a clock that jumps back: timestamps follow it, durations and deadlines don't",
  ignore: faketime === undefined && Deno.env.get("CI") === undefined,
  async fn() {
    const offsetFile = await Deno.makeTempFile();
    await Deno.writeTextFile(offsetFile, "+0");
    await using server = await TestServer.start({
      shell: `export LD_PRELOAD=${faketime} FAKETIME_NO_CACHE=1 \\
        FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_TIMESTAMP_FILE=${offsetFile}
        exec "$@"`,
    });
    const before = message();
    assert.equal(await server.deliver(before), 200);
    const slow = await server.send(
      "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
    );
    await Deno.writeTextFile(offsetFile, "-2h");
    const after = message();
    assert.equal(await server.deliver(after), 200);
    // What is there already is known, whenever it came.
    assert.equal(await server.deliver(before), 200);
    assert.equal((await server.get("/messages")).total, 2);
    assert.equal((await server.fetch("/health/ready")).status, 200);
    const receivedMs = async ({ message_id }: { message_id: string }) => {
      const { received_at } = await server.get(`/messages/${message_id}`);
      return Date.parse(`${received_at}`);
    };
    const jumpMs = await receivedMs(before) - await receivedMs(after);
    assert(Math.abs(jumpMs - 2 * hourMs) < hourMs, `${jumpMs} ms`);
    // The body that was on its way keeps its 30 s: it is not given up yet.
    await slow.write("56789");
    assert.match(await slow.read(), /^HTTP\/1\.1 401 /);
    slow[Symbol.dispose]();
    const lines = await server.loggedTimes(
      4,
      ({ path }) => path === "/webhook",
    );
    for (const { latency_ms } of lines) {
      assert(typeof latency_ms === "number" && latency_ms >= 0);
      assert(latency_ms < hourMs);
    }
    const tsJumpMs = Date.parse(lines[0].ts) - Date.parse(lines[1].ts);
    assert(Math.abs(tsJumpMs - 2 * hourMs) < hourMs, `${tsJumpMs} ms`);
    const sumMs = await server.metric("request_latency_ms_sum");
    assert(sumMs > 0 && sumMs < hourMs, `${sumMs} ms`);
    // The clock's hours are no hours for a shutdown.
    await Deno.writeTextFile(offsetFile, "+0");
    const startMs = performance.now();
    server.signal("SIGTERM");
    assert.equal((await server.ended()).code, 0);
    assert(performance.now() - startMs < 10_000);
    assert.deepEqual(
      storedIds(server.databasePath),
      new Set([before.message_id, after.message_id]),
    );
    await Deno.remove(offsetFile);
  },
});
