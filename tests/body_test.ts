import assert from "node:assert/strict";
import { mock } from "node:test";
import { BodyError, BodyReader } from "../lib/body.ts";

/** A reader that drains when it goes out of scope. */
function openReader(maxHeldBytes?: number): BodyReader & AsyncDisposable {
  const reader = new BodyReader(maxHeldBytes);
  return Object.assign(reader, {
    [Symbol.asyncDispose]: () => reader.drain(0),
  });
}

function post(body: BodyInit | null, contentLength?: number): Request {
  const headers: HeadersInit = contentLength === undefined
    ? {}
    : { "content-length": `${contentLength}` };
  return new Request("http://inbox/", { method: "POST", body, headers });
}

/** Chunks that come when they are asked for. */
function chunks(...texts: string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(texts).pipeThrough(new TextEncoderStream());
}

/** A body that begins and never goes on. */
function stalled(): ReadableStream {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(1)),
  });
}

function breaking(): ReadableStream {
  return new ReadableStream({
    pull: (controller) => controller.error(new TypeError("reset")),
  });
}

Deno.test("BodyReader.read() gives the bytes when they are within the limit", async () => {
  await using reader = openReader();
  const bodies: [request: Request, text: string][] = [
    [post("12345678"), "12345678"],
    [post("12345678", 8), "12345678"],
    [post(chunks("123", "", "45678")), "12345678"],
    [post(chunks("123", "45678"), 8), "12345678"],
    [post(""), ""],
    [post("", 0), ""],
    [post(null), ""],
  ];
  for (const [request, text] of bodies) {
    using body = await reader.read(request, 8);
    assert.equal(new TextDecoder().decode(body.bytes), text);
  }
});

Deno.test("BodyReader.read() gives exact bytes when they are no text", async () => {
  await using reader = openReader();
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  assert.deepEqual((await reader.read(post(bytes), 256)).bytes, bytes);
  assert.deepEqual((await reader.read(post(bytes, 256), 256)).bytes, bytes);
});

Deno.test("BodyReader.read() rejects with 413 and reads nothing when Content-Length is too large", async () => {
  await using reader = openReader();
  let pulls = 0;
  const body = new ReadableStream({ pull: () => void pulls++ }, {
    highWaterMark: 0,
  });
  await assert.rejects(
    reader.read(post(body, 9), 8),
    { name: "BodyError", status: 413, message: "Body over 8 bytes" },
  );
  assert.equal(pulls, 0);
});

Deno.test("BodyReader.read() rejects with 413 and stops reading when the chunks get too large", async () => {
  await using reader = openReader();
  const cancelled = Promise.withResolvers<void>();
  let pulls = 0;
  const endless = new ReadableStream({
    pull(controller) {
      pulls++;
      controller.enqueue(new Uint8Array(4));
    },
    cancel: () => cancelled.resolve(),
  }, { highWaterMark: 0 });
  await assert.rejects(
    reader.read(post(endless), 8),
    { name: "BodyError", status: 413, message: "Body over 8 bytes" },
  );
  await cancelled.promise;
  assert.equal(pulls, 3);
});

Deno.test("BodyReader.read() rejects with 400 when the body breaks off", async () => {
  await using reader = openReader();
  for (const request of [post(breaking()), post(breaking(), 8)]) {
    await assert.rejects(
      reader.read(request, 8),
      { name: "BodyError", status: 400, message: "Body breaks off" },
    );
  }
});

Deno.test("BodyReader.read() rejects with 408 when the body takes 30 s", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  let nowMs = 0;
  mock.method(performance, "now", () => nowMs);
  const reader = new BodyReader();
  const rejected: string[] = [];
  const stall = (name: string) => {
    const read = reader.read(post(stalled()), 8);
    read.catch(() => rejected.push(name));
    return read;
  };
  try {
    const first = stall("first");
    nowMs = 29_999;
    stall("second");
    mock.timers.tick(1000);
    await reader.read(post("quick"), 8);
    assert.deepEqual(rejected, []);
    nowMs = 30_000;
    mock.timers.tick(1000);
    await assert.rejects(first, {
      name: "BodyError",
      status: 408,
      message: "Body not received within 30 s",
    });
    await reader.read(post("quick"), 8);
    assert.deepEqual(rejected, ["first"]);
  } finally {
    mock.restoreAll();
    mock.timers.reset();
    await reader.drain(0);
  }
});

Deno.test("BodyReader.read() gives up what has been on its way longest when all is too much", async () => {
  await using reader = openReader(10);
  const slow = new TransformStream<Uint8Array<ArrayBuffer>>();
  const slowWriter = slow.writable.getWriter();
  const first = reader.read(post(slow.readable), 8);
  await slowWriter.write(new Uint8Array(4));
  // Of what says how long it is, all counts, though nothing of it came.
  const second = reader.read(post(stalled(), 4), 8);
  const fast = await reader.read(post("12", 2), 8);
  const given = {
    name: "BodyError",
    status: 503,
    message: "Too many bodies are on their way",
  };
  const firstGiven = assert.rejects(first, given);
  const third = reader.read(post(chunks("12", "34")), 8);
  await firstGiven;
  await assert.rejects(slowWriter.write(new Uint8Array(1)), "nobody reads on");
  using _third = await third;
  // What is in counts as long as it is used; it can't be given up any more.
  const secondGiven = assert.rejects(second, given);
  await assert.rejects(reader.read(post("12345", 5), 8), given);
  await secondGiven;
  fast[Symbol.dispose]();
  using _fourth = await reader.read(post("123456", 6), 8);
});

Deno.test("BodyReader.read() counts every body back, whatever becomes of it", async () => {
  await using reader = openReader(8);
  for (let round = 0; round < 10; round++) {
    await assert.rejects(reader.read(post(breaking(), 8), 8));
    await assert.rejects(reader.read(post(chunks("12345678", "9")), 8));
    for (const body of [post("12345678", 8), post(chunks("1234", "5678"))]) {
      using _body = await reader.read(body, 8);
    }
  }
});

Deno.test("BodyReader.drain() resolves when every body is in, and keeps them", async () => {
  const reader = new BodyReader();
  const { readable, writable } = new TransformStream();
  const body = reader.read(post(readable), 8);
  const drained = reader.drain(60_000);
  const writer = writable.getWriter();
  await writer.write(new TextEncoder().encode("late"));
  await writer.close();
  await drained;
  assert.equal(new TextDecoder().decode((await body).bytes), "late");
});

Deno.test("BodyReader.drain() gives the rest up with 503 when the grace is over", async () => {
  const reader = new BodyReader();
  const outcomes = Promise.allSettled([
    reader.read(post(stalled()), 8),
    reader.read(post(stalled(), 8), 8),
  ]);
  await reader.drain(0);
  for (const outcome of await outcomes) {
    assert(outcome.status === "rejected");
    assert(outcome.reason instanceof BodyError);
    assert.equal(outcome.reason.status, 503);
  }
});

Deno.test("BodyReader.drain() resolves at once when nothing is on its way", async () => {
  const reader = new BodyReader();
  await reader.read(post("done"), 8);
  const first = await Promise.race([
    reader.drain(60_000).then(() => "drained"),
    new Promise((resolve) => setTimeout(resolve, 0, "the next turn")),
  ]);
  assert.equal(first, "drained");
});
