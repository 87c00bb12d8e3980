import assert from "node:assert/strict";
import { SearchQueue } from "../../../lib/store/sqlite/search_queue.ts";

Deno.test("SearchQueue.run() does one search after the other, also after one that fails", async () => {
  const queue = new SearchQueue();
  const done: number[] = [];
  const first = Promise.withResolvers<void>();
  const results = [
    queue.run(() => first.promise.then(() => void done.push(1))),
    queue.run(() => Promise.reject(new Error("no"))),
    queue.run(() => Promise.resolve(done.push(2))),
  ];
  assert.deepEqual(done, []);
  first.resolve();
  const settled = await Promise.allSettled(results);
  assert.deepEqual(done, [1, 2]);
  assert.deepEqual(
    settled.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
});

Deno.test("SearchQueue.run() rejects when too many wait, and takes more when they are done", async () => {
  const queue = new SearchQueue();
  const gate = Promise.withResolvers<void>();
  const waiting = Array.from(
    { length: 1000 },
    () => queue.run(() => gate.promise),
  );
  await assert.rejects(queue.run(() => Promise.resolve()), { reason: "busy" });
  gate.resolve();
  await Promise.all(waiting);
  assert.equal(await queue.run(() => Promise.resolve(1)), 1);
});

Deno.test("SearchQueue.between() waits for the current search, and has the next one wait", async () => {
  const queue = new SearchQueue();
  const order: string[] = [];
  const first = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const results = [
    queue.run(async () => {
      begun.resolve();
      await first.promise;
      order.push("first");
    }),
    queue.run(() => Promise.resolve(order.push("second"))),
  ];
  await begun.promise;
  const work = Promise.withResolvers<void>();
  const between = queue.between(async () => {
    order.push("begin");
    await work.promise;
    order.push("end");
  });
  first.resolve();
  await results[0];
  work.resolve();
  await Promise.all([between, ...results]);
  assert.deepEqual(order, ["first", "begin", "end", "second"]);
});
