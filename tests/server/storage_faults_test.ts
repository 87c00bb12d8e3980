/**
 * What the server does when its storage fails: what clients, the log, the probe
 * and the metrics say, that no 200 is lost, and that it goes on by itself.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import {
  message,
  type StartOptions,
  TestServer,
  whatsappBody,
} from "../harness.ts";
import { storedIds } from "./stored.ts";

/** The probe's status, and its reason if it is not ready. */
async function readiness(server: TestServer): Promise<string> {
  const response = await server.fetch("/health/ready");
  const { detail } = await response.json();
  if (response.ok) return "ready";
  assert.equal(response.status, 503);
  assert(!detail.includes(server.dir), "no path leaves the server");
  assert.equal((await server.fetch("/health/live")).status, 200);
  return detail;
}

/** Asks until the probe says this. */
async function becomes(server: TestServer, wanted: string): Promise<void> {
  while (await readiness(server) !== wanted) await delay(50);
}

/** Delivers messages of its own and remembers which of them got a 200. */
class Sender {
  readonly acknowledged = new Set<string>();
  unavailable = 0;

  constructor(readonly server: TestServer) {}

  /** Delivers one and returns its status; a 503 is one by the book. */
  async deliver(fields: Record<string, unknown> = {}): Promise<number> {
    const sent = message(fields);
    const response = await this.server.post(JSON.stringify(sent));
    const { detail } = await response.json();
    if (response.status === 200) {
      this.acknowledged.add(sent.message_id);
    } else {
      assert.equal(response.status, 503);
      assert.equal(response.headers.get("retry-after"), "1");
      assert.equal(typeof detail, "string");
      assert(!detail.includes(this.server.dir), "no path leaves the server");
      this.unavailable++;
    }
    return response.status;
  }

  /** Delivers until one is refused, and returns its log line. */
  async deliverUntilRefused(fields?: Record<string, unknown>) {
    while (await this.deliver(fields) === 200);
    return await this.server.logged(({ result }) => result === "unavailable");
  }

  get stored(): number {
    return this.acknowledged.size;
  }

  /** Every 503 is in the metrics, and every 200 is a row, once. */
  async check(databasePath = this.server.databasePath): Promise<void> {
    await this.checkMetrics();
    assert.deepEqual(storedIds(databasePath), this.acknowledged);
  }

  async checkMetrics(): Promise<void> {
    const counted = await Promise.all([
      'webhook_requests_total{result="unavailable"}',
      'http_requests_total{path="/webhook",status="503"}',
      'webhook_requests_total{result="created"}',
    ].map((series) => this.server.metric(series)));
    const { unavailable, stored } = this;
    assert.deepEqual(counted, [unavailable, unavailable, stored]);
  }
}

function isRoot(): boolean {
  const { stdout } = new Deno.Command("id", { args: ["-u"] }).outputSync();
  return new TextDecoder().decode(stdout).trim() === "0";
}

/** Damages an index or a table, as a bad disk might. */
function damage(path: string, name: string): void {
  const db = new DatabaseSync(path);
  const { rootpage } = db.prepare(
    "SELECT rootpage FROM sqlite_schema WHERE name = ?",
  ).get(name)!;
  db.close();
  using file = Deno.openSync(path, { write: true });
  file.seekSync((Number(rootpage) - 1) * 4096, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array(4096).fill(0xff));
}

/** A delivery of one message with a payload of so many characters. */
function largeBody(id: string, payloadChars: number): string {
  return whatsappBody({
    messages: [{
      from: "919876543210",
      id,
      timestamp: "1736935200",
      type: "text",
      text: { body: "Hello" },
      padding: "x".repeat(payloadChars),
    }],
  });
}

/** How to have a small file system of one's own: as root, or as any user. */
const unshare = ["unshare -m", "unshare -rm"].find((command) => {
  try {
    const args = ["-c", `${command} mount -t tmpfs none /mnt`];
    return new Deno.Command("sh", { args }).outputSync().success;
  } catch {
    return false;
  }
});

/** A server whose folder is a file system of its own, which it alone sees. */
async function startOnOwnFileSystem(
  mountOptions: string,
  options: StartOptions = {},
): Promise<TestServer> {
  const dir = await Deno.makeTempDir();
  return await TestServer.start({
    dir,
    shell: `exec ${unshare} sh -c '
      mount -t tmpfs -o ${mountOptions} none ${dir} && exec "$@"' sh "$@"`,
    ...options,
  });
}

/** Runs a command where it sees the server's own file system. */
async function inside(
  server: TestServer,
  command: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const { success, stdout, stderr } = await new Deno.Command("nsenter", {
    args: [
      ...["-t", `${server.pid}`, "-m"],
      ...(unshare === "unshare -rm" ? ["-U", "--preserve-credentials"] : []),
      ...["sh", "-c", `cd ${server.dir} && ${command}`],
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return stdout;
}

/** Brings the database out of the server's own file system: the copy's path. */
async function copyOut(server: TestServer): Promise<string> {
  const dir = await Deno.makeTempDir();
  server.signal("SIGSTOP");
  for (const name of ["app.db", "app.db-wal"]) {
    await Deno.writeFile(`${dir}/${name}`, await inside(server, `cat ${name}`));
  }
  server.signal("SIGCONT");
  return `${dir}/app.db`;
}

/** A text of the largest size. */
const longText = { text: "x".repeat(4096) };

Deno.test({
  name:
    "a disk that gets full: not ready before writes fail, then 503; it goes on by itself when there is room",
  ignore: unshare === undefined,
  async fn() {
    await using server = await startOnOwnFileSystem("size=24m", {
      env: { MIN_FREE_DISK_MIB: "8" },
    });
    const sender = new Sender(server);
    assert.equal(await sender.deliver(longText), 200);
    assert.equal(await readiness(server), "ready");
    await inside(server, "head -c 18M /dev/zero > filler");
    const low = "not ready: the database's disk is almost full";
    assert.equal(await readiness(server), low);
    const line = await server.logged(({ path, status }) =>
      path === "/health/ready" && status === 503
    );
    assert.equal(line.level, "ERROR");
    assert.equal(line.reason, low.replace("not ready: ", ""));
    // Nothing is refused yet.
    assert.equal(await sender.deliver(longText), 200);
    await inside(server, "cat /dev/zero > more || true");
    const refused = await sender.deliverUntilRefused(longText);
    assert.match(`${refused.reason}`, /^(full|io_error)$/);
    assert.equal(refused.level, "ERROR");
    assert.match(await readiness(server), /^not ready: the d[^;]+$/);
    await server.logged(({ message, reason }) =>
      message !== undefined && reason === refused.reason
    );
    // Reading goes on.
    assert.equal((await server.get("/messages?limit=1")).total, sender.stored);
    await inside(server, "rm filler more");
    await becomes(server, "ready");
    for (let n = 0; n < 10; n++) {
      assert.equal(await sender.deliver(longText), 200);
    }
    await sender.check(await copyOut(server));
  },
});

Deno.test({
  name: "a disk that gets full during a checkpoint loses nothing",
  ignore: unshare === undefined,
  async fn() {
    await using server = await startOnOwnFileSystem("size=80m", {
      env: { MIN_FREE_DISK_MIB: "0" },
    });
    const acknowledged = new Set<string>();
    // Payloads that make a checkpoint due with every twelfth.
    const deliver = async () => {
      const id = crypto.randomUUID();
      const response = await server.postWhatsapp(largeBody(id, 2_900_000));
      await response.body?.cancel();
      if (response.status === 200) acknowledged.add(id);
      return response.status;
    };
    const sizes = async () => {
      const text = await inside(server, "stat -c %s app.db app.db-wal");
      return new TextDecoder().decode(text).trim().split("\n").map(Number);
    };
    // The log takes what the database file would need.
    await inside(server, "head -c 36M /dev/zero > filler");
    let status = 200;
    while (status === 200) status = await deliver();
    assert.equal(status, 503);
    assert(acknowledged.size >= 12, "a checkpoint was due");
    const [databaseBytes, logBytes] = await sizes();
    assert(databaseBytes < logBytes, "it could not be done");
    await inside(server, "rm filler");
    await becomes(server, "ready");
    for (const id of acknowledged) await server.get(`/messages/${id}`);
    const copy = await copyOut(server);
    assert.deepEqual(storedIds(copy), acknowledged);
  },
});

Deno.test({
  name:
    "a file system that is read-only at the start is used when it no longer is",
  ignore: unshare === undefined,
  async fn() {
    await using server = await startOnOwnFileSystem("size=16m,ro", {
      until: ["listening", "the database can't be opened"],
    });
    const sender = new Sender(server);
    assert.equal(await sender.deliver(), 503);
    assert.equal(
      await readiness(server),
      "not ready: the database can't be opened",
    );
    await inside(server, `mount -o remount,rw none ${server.dir}`);
    await server.logged("database open");
    assert.equal(await sender.deliver(), 200);
    await sender.check(await copyOut(server));
  },
});

Deno.test(
  "a folder and a file that can't be written are used when they can be",
  {
    // Permissions don't hold root up.
    ignore: isRoot(),
  },
  async () => {
    const dir = await Deno.makeTempDir();
    await Deno.chmod(dir, 0o500);
    {
      await using server = await TestServer.start({
        dir,
        until: ["listening", "the database can't be opened"],
      });
      const sender = new Sender(server);
      assert.equal(await sender.deliver(), 503);
      await Deno.chmod(dir, 0o700);
      await server.logged("database open");
      assert.equal(await sender.deliver(), 200);
      await sender.check();
    }
    await Deno.chmod(`${dir}/app.db`, 0o400);
    {
      const readOnly = "the database is read-only";
      await using server = await TestServer.start({ dir, until: [readOnly] });
      assert.equal(await readiness(server), `not ready: ${readOnly}`);
      // SQLite gives the files beside it the same permissions.
      for (const { name } of Deno.readDirSync(dir)) {
        await Deno.chmod(`${dir}/${name}`, 0o600);
      }
      await server.logged("database open");
      assert.equal(await server.deliver(message()), 200);
    }
    await Deno.remove(dir, { recursive: true });
  },
);

Deno.test("a lock held by another process: 503 and not ready, reading goes on, ready by itself", async () => {
  await using server = await TestServer.start();
  const sender = new Sender(server);
  assert.equal(await sender.deliver(), 200);
  const other = new DatabaseSync(server.databasePath);
  other.exec("BEGIN IMMEDIATE");
  const startMs = performance.now();
  const statuses = await Promise.all(
    Array.from({ length: 5 }, () => sender.deliver()),
  );
  assert.deepEqual(statuses, Array(5).fill(503));
  // Those that came during the attempt do not wait for another one.
  assert(performance.now() - startMs < 4500);
  const locked = "the database is locked by another process";
  assert.equal(await readiness(server), `not ready: ${locked}`);
  const lines = await server.loggedTimes(
    5,
    ({ reason, status }) => reason === "locked" && status === 503,
  );
  assert(lines.every(({ level }) => level === "ERROR"));
  await server.logged(locked);
  assert.equal((await server.get("/messages")).total, 1);
  other.exec("ROLLBACK");
  other.close();
  await becomes(server, "ready");
  assert.equal(await sender.deliver(), 200);
  await sender.check();
});

Deno.test("a database locked at the start is opened when the lock is gone", async () => {
  const dir = await Deno.makeTempDir();
  const other = new DatabaseSync(`${dir}/app.db`);
  other.exec("CREATE TABLE t (x); BEGIN EXCLUSIVE");
  {
    const locked = "the database is locked by another process";
    await using server = await TestServer.start({ dir, until: [locked] });
    const sender = new Sender(server);
    assert.equal(await sender.deliver(), 503);
    assert.equal(await readiness(server), `not ready: ${locked}`);
    other.exec("ROLLBACK");
    other.close();
    await server.logged("database open");
    assert.equal(await sender.deliver(), 200);
    await sender.check();
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a database that is deleted under the server is noticed before a 200, and made anew", async () => {
  await using server = await TestServer.start();
  assert.equal(await server.deliver(message()), 200);
  for await (const { name } of Deno.readDir(server.dir)) {
    await Deno.remove(`${server.dir}/${name}`);
  }
  const lost = message();
  const response = await server.post(JSON.stringify(lost));
  assert.equal(response.status, 503);
  const deleted = "the database file was deleted or replaced";
  assert.equal((await response.json()).detail, deleted);
  await server.logged(deleted);
  await server.loggedTimes(2, "database open");
  assert.equal(await server.deliver(lost), 200);
  assert.deepEqual(storedIds(server.databasePath), new Set([lost.message_id]));
});

Deno.test("a database that is replaced under the server is noticed by the probe, and the new one used", async () => {
  await using server = await TestServer.start();
  const [before, inBackup, after] = [message(), message(), message()];
  assert.equal(await server.deliver(inBackup), 200);
  const { success } = await new Deno.Command("sh", {
    args: ["-c", `cd ${server.dir} && mkdir old backup && cp app.db* backup`],
  }).output();
  assert(success);
  assert.equal(await server.deliver(before), 200);
  for (const name of ["app.db", "app.db-wal", "app.db-shm"]) {
    await Deno.rename(`${server.dir}/${name}`, `${server.dir}/old/${name}`);
  }
  for (const name of ["app.db", "app.db-wal"]) {
    await Deno.rename(`${server.dir}/backup/${name}`, `${server.dir}/${name}`);
  }
  assert.equal(
    await readiness(server),
    "not ready: the database file was deleted or replaced",
  );
  await server.loggedTimes(2, "database open");
  assert.equal(await readiness(server), "ready");
  assert.equal(await server.deliver(after), 200);
  const ids = (...messages: { message_id: string }[]) =>
    new Set(messages.map(({ message_id }) => message_id));
  assert.deepEqual(storedIds(server.databasePath), ids(inBackup, after));
  assert.deepEqual(
    storedIds(`${server.dir}/old/app.db`),
    ids(inBackup, before),
    "what was acknowledged is where it was stored",
  );
});

Deno.test("a file that is no database is refused and left as it is", async () => {
  const dir = await Deno.makeTempDir();
  const content = "not a database ".repeat(100);
  await Deno.writeTextFile(`${dir}/app.db`, content);
  {
    const corrupt = "the database file is corrupt or no database";
    await using server = await TestServer.start({ dir, until: [corrupt] });
    const sender = new Sender(server);
    assert.equal(await sender.deliver(), 503);
    assert.equal(await readiness(server), `not ready: ${corrupt}`);
    const line = await server.logged(corrupt);
    assert.equal(line.level, "ERROR");
    assert.match(`${line.reason_detail}`, /restore a backup/);
  }
  assert.equal(await Deno.readTextFile(`${dir}/app.db`), content);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a database found to be corrupt while it is used is written no more", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/app.db`;
  {
    await using server = await TestServer.start({ dir });
    assert.equal(await server.deliver(message()), 200);
  }
  await Deno.copyFile(path, `${dir}/backup.db`);
  damage(path, "messages_by_instant");
  const damaged = await Deno.readFile(path);
  {
    await using server = await TestServer.start({ dir });
    const sender = new Sender(server);
    assert.equal(await sender.deliver(), 503);
    const corrupt = "the database file is corrupt or no database";
    const line = await server.logged(corrupt);
    assert.match(`${line.reason_detail}`, /malformed.*restore a backup/);
    for (const path of ["/messages", "/stats"]) {
      const response = await server.fetch(path);
      assert.equal(response.status, 503);
      assert.deepEqual(await response.json(), { detail: corrupt });
    }
    assert.equal(await readiness(server), `not ready: ${corrupt}`);
    assert.equal(await sender.deliver(), 503);
    await sender.checkMetrics();
  }
  assert.deepEqual(await Deno.readFile(path), damaged);
  for await (const { name } of Deno.readDir(dir)) {
    if (name !== "backup.db") await Deno.remove(`${dir}/${name}`);
  }
  await Deno.rename(`${dir}/backup.db`, path);
  {
    await using server = await TestServer.start({ dir });
    assert.equal(await server.deliver(message()), 200);
    assert.equal(storedIds(path).size, 2);
  }
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a database newer than the program is refused with the versions", async () => {
  const dir = await Deno.makeTempDir();
  const db = new DatabaseSync(`${dir}/app.db`);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA user_version = 99");
  db.close();
  const content = await Deno.readFile(`${dir}/app.db`);
  const refusal = "the database was written by a newer version of this program";
  {
    await using server = await TestServer.start({ dir, until: [refusal] });
    const sender = new Sender(server);
    assert.equal(await sender.deliver(), 503);
    assert.equal(await readiness(server), `not ready: ${refusal}`);
    const line = await server.logged(refusal);
    assert.match(`${line.reason_detail}`, /99.*run a newer program/);
  }
  assert.deepEqual(await Deno.readFile(`${dir}/app.db`), content);
  await Deno.remove(dir, { recursive: true });
});
