import assert from "node:assert/strict";
import { Log, logLevels, type Sink } from "../lib/log.ts";

/** Takes at most so many bytes a write, and tells when it was written to. */
class MemorySink implements Sink {
  text = "";
  writes = 0;
  readonly #decoder = new TextDecoder();
  #written = Promise.withResolvers<void>();

  constructor(readonly maxBytes = Infinity) {}

  get lines(): string[] {
    return this.text.split("\n").slice(0, -1);
  }

  /** Resolves with the next write. */
  get written(): Promise<void> {
    return this.#written.promise;
  }

  write(bytes: Uint8Array): Promise<number> {
    const taken = bytes.subarray(0, this.maxBytes);
    this.text += this.#decoder.decode(taken, { stream: true });
    this.writes++;
    this.#written.resolve();
    this.#written = Promise.withResolvers();
    return Promise.resolve(taken.length);
  }
}

Deno.test("Log.write() writes one JSON object with ts, level and the fields", async () => {
  const sink = new MemorySink();
  new Log("INFO", sink).write("INFO", { message: "listening", port: 8000 });
  await sink.written;
  assert.match(
    sink.text,
    /^\{"ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"INFO","message":"listening","port":8000\}\n$/,
  );
});

Deno.test("Log.write() drops the line when its level is below the log's", async () => {
  for (const threshold of logLevels) {
    const sink = new MemorySink();
    const log = new Log(threshold, sink);
    for (const level of logLevels) log.write(level, {});
    await log.close();
    assert.deepEqual(
      sink.lines.map((line) => JSON.parse(line).level),
      logLevels.slice(logLevels.indexOf(threshold)),
    );
  }
});

Deno.test("Log.write() gathers lines into one write when they come soon after another", async () => {
  const sink = new MemorySink();
  const log = new Log("INFO", sink);
  for (let n = 0; n < 100; n++) log.write("INFO", { n });
  assert.equal(sink.writes, 0);
  await sink.written;
  assert.equal(sink.writes, 1);
  assert.deepEqual(
    sink.lines.map((line) => JSON.parse(line).n),
    Array.from({ length: 100 }, (_, n) => n),
  );
});

Deno.test("Log.write() writes again when lines come after a write", async () => {
  const sink = new MemorySink();
  const log = new Log("INFO", sink);
  log.write("INFO", { n: 1 });
  await sink.written;
  log.write("INFO", { n: 2 });
  await sink.written;
  assert.deepEqual(sink.lines.map((line) => JSON.parse(line).n), [1, 2]);
});

Deno.test("Log.write() drops and counts lines when the sink stalls, and never waits for it", async () => {
  const memory = new MemorySink();
  const stalled = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const log = new Log("INFO", {
    async write(bytes) {
      started.resolve();
      await stalled.promise;
      return await memory.write(bytes);
    },
  });
  log.write("INFO", { n: -1 });
  await started.promise;
  assert.equal(log.droppedLines, 0);
  const padding = "x".repeat(1 << 20);
  for (let n = 0; n < 20; n++) log.write("INFO", { n, padding });
  stalled.resolve();
  await log.close();
  const lines = memory.lines.map((line) => JSON.parse(line));
  const kept = lines.filter(({ padding }) => padding !== undefined);
  const [{ level, count }] = lines.filter(({ message }) =>
    message === "log lines dropped"
  );
  assert.equal(level, "WARNING");
  assert(kept.length >= 8, `${kept.length}`);
  assert.equal(kept.length + count, 20);
  assert.equal(log.droppedLines, count);
});

Deno.test("Log.write() keeps to one line and round-trips when a value holds any code unit", async () => {
  const sink = new MemorySink();
  const log = new Log("INFO", sink);
  const units = Array.from(
    { length: 0x10000 },
    (_, unit) => String.fromCharCode(unit),
  );
  const hostile = `\r\n{"level":"INFO"}\n${units.toReversed().join("")}`;
  const fields = { units: units.join(""), [hostile]: hostile };
  log.write("ERROR", fields);
  await log.close();
  const [line, ...rest] = sink.text.split("\n");
  assert.deepEqual(rest, [""]);
  // deno-lint-ignore no-control-regex -- what any reader might break a line at
  assert.doesNotMatch(line, /[\x00-\x1f\x7f\x85\u2028\u2029]/);
  const { ts: _, level, ...read } = JSON.parse(line);
  assert.equal(level, "ERROR");
  assert.deepEqual(read, fields);
});

Deno.test("Log.close() writes everything when the sink takes a few bytes at a time", async () => {
  const sink = new MemorySink(3);
  const log = new Log("INFO", sink);
  log.write("INFO", { message: "für 😀" });
  log.write("INFO", { message: "second" });
  await log.close();
  assert.deepEqual(
    sink.lines.map((line) => JSON.parse(line).message),
    ["für 😀", "second"],
  );
});

Deno.test("Log.close() writes nothing when nothing is pending", async () => {
  const sink = new MemorySink();
  await new Log("INFO", sink).close();
  assert.equal(sink.writes, 0);
});

Deno.test("Log.close() returns when the sink throws, and later lines still come through", async () => {
  const memory = new MemorySink();
  let broken = true;
  const log = new Log("INFO", {
    write(bytes) {
      if (broken) throw new Deno.errors.BrokenPipe();
      return memory.write(bytes);
    },
  });
  log.write("INFO", { n: 1 });
  await log.close();
  broken = false;
  log.write("INFO", { n: 2 });
  await log.close();
  assert.deepEqual(memory.lines.map((line) => JSON.parse(line).n), [2]);
});

Deno.test("Log.close() starts a new line when a line before it broke off, however long the sink threw", async () => {
  for (const throwing of [1, 2, 5]) {
    const memory = new MemorySink(5);
    // One write comes through in part, the next ones throw, then all is well.
    let calls = 0;
    const log = new Log("INFO", {
      write(bytes) {
        calls++;
        if (calls > 1 && calls <= 1 + throwing) {
          throw new Deno.errors.BrokenPipe();
        }
        return memory.write(bytes);
      },
    });
    for (let n = 0; n < throwing + 2; n++) {
      log.write("INFO", { n });
      await log.close();
    }
    const [broken, ...whole] = memory.lines;
    assert.equal(broken, '{"ts"', `${throwing}`);
    assert.deepEqual(
      whole.map((line) => JSON.parse(line).n),
      [throwing, throwing + 1],
    );
  }
});

Deno.test("Log.close() adds no empty line when the sink threw between two lines", async () => {
  const memory = new MemorySink();
  let broken = false;
  const log = new Log("INFO", {
    write(bytes) {
      if (broken) throw new Deno.errors.BrokenPipe();
      return memory.write(bytes);
    },
  });
  for (const n of [1, 2, 3]) {
    broken = n === 2;
    log.write("INFO", { n });
    await log.close();
  }
  assert.deepEqual(memory.lines.map((line) => JSON.parse(line).n), [1, 3]);
});
