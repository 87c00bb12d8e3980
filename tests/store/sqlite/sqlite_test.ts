import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { mock } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { DeliveredMessage } from "../../../lib/message.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { SqliteStore } from "../../../lib/store/sqlite/sqlite.ts";
import type { Commit } from "../../../lib/store/store.ts";
import { message } from "../../harness.ts";
import { version1 } from "./version1.ts";

const megabyte = 1 << 20;

/** A store in a file, open. */
async function openStore(path: string): Promise<SqliteStore> {
  const opened = Promise.withResolvers<void>();
  const store = new SqliteStore(
    path,
    (problem) => problem === null ? opened.resolve() : opened.reject(problem),
  );
  await opened.promise;
  return store;
}

function delivery(fields: Partial<DeliveredMessage> = {}) {
  const defaults = { type: "text", contact_name: null, payload: null };
  return { messages: [{ ...message(), ...defaults, ...fields }], events: [] };
}

/** Makes a database of version 1 with texts of one sender. */
function makeOldDatabase(path: string, texts: readonly string[]): void {
  const db = new DatabaseSync(path);
  db.exec(version1);
  const insert = db.prepare(
    `INSERT INTO messages
       (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, created_at)
     VALUES (?, '+1', '+2', '2025-01-15T10:00:00Z', 1736935200000, ?, '')`,
  );
  db.exec("BEGIN");
  texts.forEach((text, n) => insert.run(`old ${n}`, text));
  db.exec("COMMIT");
  db.close();
}

/** How many messages of a store that runs, or has run, are indexed. */
function indexedCount(path: string): number {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return Number(db.prepare("SELECT messages FROM totals").get()!.messages);
  } finally {
    db.close();
  }
}

Deno.test("SqliteStore.insert() keeps the log bounded when deliveries never pause", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  const store = await openStore(path);
  // Without checkpoints the log would take what all of this takes: 240 MB.
  const payload = "x".repeat(megabyte);
  const deliver = () => store.insert(delivery({ payload }));
  const waiting = Array.from({ length: 8 }, deliver);
  for (let delivered = 8; delivered < 240; delivered++) {
    await waiting.shift();
    waiting.push(deliver());
  }
  await Promise.all(waiting);
  const { size } = await Deno.stat(`${path}-wal`);
  assert(size < 160 * megabyte, `${size} bytes`);
  await store.close();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore keeps the log bounded when long reads never leave a gap", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  const db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL");
  migrate(db);
  // To list the last one takes a look at all of them, far longer than a checkpoint.
  db.exec(
    `WITH RECURSIVE numbers (n) AS
       (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300000)
     INSERT INTO events (event_id, kind, ts, ts_ms, payload, created_at)
       SELECT 'event ' || n, iif(n = 300000, 'last', 'other'),
              '2025-01-15T10:00:00Z', 1736935200000 + n, '{}', ''
         FROM numbers`,
  );
  db.close();
  const store = await openStore(path);
  let isOver = false;
  const readers = Array.from({ length: 4 }, async () => {
    while (!isOver) {
      const { total } = await store.listEvents({ kind: "last" }, 1, 0);
      assert.equal(total, 1);
    }
  });
  let largest = 0;
  const payload = "x".repeat(megabyte);
  const clients = Array.from({ length: 4 }, async () => {
    for (let delivered = 0; delivered < 120; delivered++) {
      await store.insert(delivery({ payload }));
      const { size } = await Deno.stat(`${path}-wal`);
      largest = Math.max(largest, size);
    }
  });
  await Promise.all(clients);
  isOver = true;
  await Promise.all(readers);
  // Without a gap it would take all that was delivered: 480 MB.
  assert(largest < 320 * megabyte, `${largest} bytes`);
  await store.close();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore cuts a log that another process made long when that is over", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  const store = await openStore(path);
  const payload = "x".repeat(megabyte);
  await store.insert(delivery());
  // As a backup does, that copies a large file.
  const other = new DatabaseSync(path, { readOnly: true });
  other.exec("BEGIN; SELECT * FROM messages");
  const logSize = async () => (await Deno.stat(`${path}-wal`)).size;
  while (await logSize() < 200 * megabyte) {
    await store.insert(delivery({ payload }));
  }
  other.exec("COMMIT");
  other.close();
  let delivered = 0;
  while (await logSize() > 130 * megabyte && delivered++ < 200) {
    await store.insert(delivery({ payload }));
  }
  assert(delivered < 200, "the log stays long");
  await store.close();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore.insert() indexes in step with what it stores when deliveries never pause", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  const store = await openStore(path);
  let isOver = false;
  const clients = Array.from({ length: 64 }, async () => {
    let stored = 0;
    for (; !isOver; stored++) await store.insert(delivery());
    return stored;
  });
  // None of it is idle time.
  while (indexedCount(path) < 5000) await delay(10);
  isOver = true;
  const counts = await Promise.all(clients);
  const stored = counts.reduce((sum, count) => sum + count);
  await store.close();
  assert(stored - indexedCount(path) < 3000, `${stored} are stored`);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore.insert() indexes in step with long texts as well", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  const store = await openStore(path);
  // A step takes 256 of them.
  const text = "x".repeat(4096);
  let stored = 0;
  await Promise.all(Array.from({ length: 64 }, async () => {
    for (; stored < 3000; stored++) await store.insert(delivery({ text }));
  }));
  const indexed = indexedCount(path);
  await store.close();
  assert(stored - indexed < 1500, `${stored} stored, ${indexed} indexed`);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore indexes the rest when it is idle, and what an older version stored when it is opened", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  makeOldDatabase(path, Array(5000).fill("Hello"));
  const store = await openStore(path);
  // Both are answered, whether anything is indexed or not.
  assert.deepEqual(await store.insert(delivery()), {
    newMessages: 1,
    newEvents: 0,
  });
  assert.equal((await store.stats()).total_messages, 5001);
  assert.equal((await store.listMessages({ q: "hell" }, 1, 0)).total, 5001);
  while (indexedCount(path) < 5001) await delay(10);
  assert.equal((await store.stats()).total_messages, 5001);
  assert.equal((await store.listMessages({ from: "+1" }, 1, 0)).total, 5000);
  await store.close();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore leaves the lock to others while it catches up", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  const messages = 12_000;
  makeOldDatabase(
    path,
    Array.from(
      { length: messages },
      (_, n) => Array.from({ length: 20 }, (_, k) => (n + k) ** 3).join(" "),
    ),
  );
  const store = await openStore(path);
  const other = new DatabaseSync(path);
  let free = 0;
  let held = 0;
  while (indexedCount(path) < messages) {
    try {
      other.exec("BEGIN IMMEDIATE; ROLLBACK");
      free++;
    } catch {
      held++;
    }
    await delay(10);
  }
  other.close();
  await store.close();
  assert(free > held / 4, `free ${free} times, held ${held} times`);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore tells of every commit, and how many rows wait for the next", async () => {
  const dir = await Deno.makeTempDir();
  const store = await openStore(`${dir}/app.db`);
  assert.equal(store.waitingRows, 0);
  const commits: Commit[] = [];
  store.observeCommits((commit) => commits.push(commit));
  const startMs = performance.now();
  // The first is on its way at once; the others join the next commit.
  const inserts = [delivery(), delivery(), delivery()].map((delivery) =>
    store.insert(delivery)
  );
  assert.equal(store.waitingRows, 2);
  await Promise.all(inserts);
  const endMs = performance.now();
  assert.equal(store.waitingRows, 0);
  await store.close();
  assert.deepEqual(commits.map(({ rows }) => rows), [1, 2]);
  for (const { durationMs } of commits) {
    assert(durationMs > 0 && durationMs <= endMs - startMs, `${durationMs}`);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore.figures() counts messages, indexed or not, and gives what is left when it is closed", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  await Deno.writeTextFile(path, "");
  // The log stands beside the file.
  await Deno.symlink(path, `${dir}/link.db`);
  const store = await openStore(`${dir}/link.db`);
  for (let batch = 0; batch < 3; batch++) {
    const deliveries = Array.from({ length: 700 }, () => delivery());
    await Promise.all(deliveries.map((delivery) => store.insert(delivery)));
    const { messages } = await store.figures();
    assert.equal(messages, 700 * (batch + 1));
  }
  const { databaseBytes, walBytes } = await store.figures();
  assert.equal(databaseBytes, (await Deno.stat(path)).size);
  assert.equal(walBytes, (await Deno.stat(`${path}-wal`)).size);
  await Deno.rename(path, `${dir}/elsewhere.db`);
  const { freeBytes: _, ...gone } = await store.figures();
  for (const figure of Object.values(gone)) assert.equal(figure, undefined);
  await Deno.rename(`${dir}/elsewhere.db`, path);
  await store.close();
  const rest = await store.figures();
  assert.equal(rest.messages, undefined);
  assert.equal(rest.walBytes, undefined, "it is in the database file");
  assert.equal(rest.databaseBytes, (await Deno.stat(path)).size);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("SqliteStore.figures() counts messages when the database is in memory, which has no files", async () => {
  const store = await openStore(":memory:");
  await store.insert(delivery());
  assert.deepEqual(await store.figures(), { messages: 1, events: 0 });
  await store.close();
});

/** Runs a test with every worker that starts meanwhile at hand. */
async function withWorkers(
  test: (workers: Worker[]) => Promise<void>,
): Promise<void> {
  const workers: Worker[] = [];
  const { Worker: RealWorker } = globalThis;
  globalThis.Worker = class extends RealWorker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      workers.push(this);
    }
  };
  try {
    await test(workers);
  } finally {
    globalThis.Worker = RealWorker;
  }
}

/** A store in a new file, and what it has told of its state so far. */
class ObservedStore implements AsyncDisposable {
  readonly #dir = Deno.makeTempDirSync();
  readonly path = `${this.#dir}/app.db`;
  readonly states: string[] = [];
  #onState = () => {};
  readonly store = new SqliteStore(this.path, (problem) => {
    this.states.push(problem?.reason ?? "open");
    this.#onState();
  });

  /** Resolves when it has told so many states. */
  async told(count: number): Promise<void> {
    while (this.states.length < count) {
      await new Promise<void>((resolve) => this.#onState = resolve);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await Deno.remove(this.#dir, { recursive: true });
  }
}

Deno.test("SqliteStore replaces a worker that crashes, and rejects what waits for it", async () => {
  await withWorkers(async (workers) => {
    await using observed = new ObservedStore();
    const { store, states } = observed;
    await observed.told(1);
    await store.insert(delivery());
    // What the writer, the reader and the searcher do, in the order they start.
    const calls: (() => Promise<unknown>)[] = [
      () => store.insert(delivery()),
      () => store.stats(),
      () => store.listMessages({ q: "hell" }, 1, 0),
    ];
    for (const [index, call] of calls.entries()) {
      const current = workers.slice(-4)[index];
      // No JSON: the worker throws before it gets to the call.
      current.postMessage("{");
      await assert.rejects(call(), { reason: "worker_crashed" });
      await observed.told(3 + 2 * index);
      await call();
    }
    assert.deepEqual(
      states,
      ["open", ...calls.flatMap(() => ["worker_crashed", "open"])],
    );
    assert.equal((await store.stats()).total_messages, 2);
    await store.ping();
  });
});

Deno.test("SqliteStore replaces a worker that does nothing for 30 s, and rejects what waits for it", async () => {
  await withWorkers(async (workers) => {
    mock.timers.enable({ apis: ["setInterval"] });
    try {
      await using observed = new ObservedStore();
      const { store } = observed;
      await observed.told(1);
      const [writer] = workers;
      // It never answers.
      writer.terminate();
      const first = store.insert(delivery());
      const second = store.insert(delivery());
      for (const insert of [first, second]) insert.catch(() => {});
      for (let s = 0; s < 29; s++) mock.timers.tick(1000);
      assert.equal((await store.stats()).total_messages, 0);
      mock.timers.tick(1000);
      await assert.rejects(first, { reason: "no_answer" });
      await assert.rejects(second, { reason: "no_answer" });
      await observed.told(3);
      assert.deepEqual(observed.states, ["open", "no_answer", "open"]);
      await store.insert(delivery());
    } finally {
      mock.timers.reset();
    }
  });
});

Deno.test("SqliteStore lets a thousand calls wait for a worker, not more", async () => {
  await using observed = new ObservedStore();
  const { store } = observed;
  await observed.told(1);
  const calls = Array.from({ length: 1001 }, () => store.stats());
  await assert.rejects(calls.pop()!, { reason: "busy" });
  await Promise.all(calls);
  await store.stats();
});
