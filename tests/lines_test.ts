import assert from "node:assert/strict";
import fc from "fast-check";
import { readLines } from "../lib/lines.ts";

/** The lines of a stream that comes in these chunks. */
async function linesOf(chunks: readonly string[], maxBytes = 1000) {
  const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk));
  const lines = [];
  for await (
    const { number, bytes: line } of readLines(
      ReadableStream.from(bytes),
      maxBytes,
    )
  ) {
    assert.equal(number, lines.length + 1);
    lines.push(line && new TextDecoder().decode(line));
  }
  return lines;
}

Deno.test("readLines() gives the same lines however the stream is cut", async () => {
  const text = fc.string({ unit: fc.constantFrom("a", "\n", "\r", "é") });
  await fc.assert(fc.asyncProperty(fc.array(text), async (chunks) => {
    const expected = chunks.join("").split("\n");
    if (expected.at(-1) === "") expected.pop();
    assert.deepEqual(await linesOf(chunks), expected);
  }));
});

Deno.test("readLines() gives nothing of a line that is too long, and the next ones", async () => {
  const long = "x".repeat(11);
  assert.deepEqual(
    await linesOf(
      ["1234567890\n", long, "\n", long.slice(5), `${long}\nb`],
      10,
    ),
    ["1234567890", undefined, undefined, "b"],
  );
  assert.deepEqual(await linesOf(["a\n", long], 10), ["a", undefined]);
});

Deno.test("readLines() holds nothing of a line that is too long", async () => {
  const chunk = new Uint8Array(1 << 20).fill("x".charCodeAt(0));
  let given = 0;
  let peak = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (++given > 300) return controller.close();
      if (given % 100 === 0) {
        peak = Math.max(peak, Deno.memoryUsage().external);
      }
      controller.enqueue(chunk.slice());
    },
  });
  const start = Deno.memoryUsage().external;
  for await (const { bytes } of readLines(stream, 8 << 20)) {
    assert.equal(bytes, undefined);
  }
  assert(peak - start < 150 << 20, `${peak - start} bytes`);
});
