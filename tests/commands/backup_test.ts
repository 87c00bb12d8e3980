import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { message, run, serverCommand, spawn, TestServer } from "../harness.ts";
import { TempStore } from "./temp_store.ts";

function backup(store: TempStore, ...args: string[]) {
  return run({ args: ["backup", ...args], env: store.env });
}

/** Opens a backup as it is, runs a query and makes sure that it is whole. */
function query(path: string, sql: string): Record<string, unknown>[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const check = db.prepare("PRAGMA integrity_check").all();
  const rows = db.prepare(sql).all().map((row) => ({ ...row }));
  db.close();
  assert.deepEqual(check.map((row) => row.integrity_check), ["ok"]);
  return rows;
}

/** The folder that a copy is in until it is whole. */
function partFolder(dir: string): string | undefined {
  const names = Array.from(Deno.readDirSync(dir), ({ name }) => name);
  const name = names.find((name) => name.endsWith(".part"));
  return name && `${dir}/${name}`;
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

Deno.test("backup makes one private file that holds everything", async () => {
  using store = new TempStore();
  store.fill(3000);
  const file = `${store.dir}/backup.db`;
  const { code, stdout, stderr } = await backup(store, file);
  assert.equal(stderr, "");
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^\S+\/app\.db is in \S+\/backup\.db: \d+\.\d MB, checked\n$/,
  );
  assert.deepEqual(store.otherFiles(), ["backup.db"]);
  assert.equal(Deno.statSync(file).mode! & 0o777, 0o600);
  assert.deepEqual(
    query(file, "SELECT * FROM messages ORDER BY seq")
      .map(({ seq: _, ...row }) => row),
    store.rows("messages"),
  );
  assert.deepEqual(store.otherFiles(), ["backup.db"], "it needs no log");
});

Deno.test("backup holds what is in the log only", async () => {
  using store = new TempStore();
  store.insert([]);
  // While a connection is open, nothing brings the log into the file.
  const db = new DatabaseSync(store.path);
  db.exec(
    `PRAGMA wal_autocheckpoint = 0;
     INSERT INTO events (event_id, kind, ts, ts_ms, payload, created_at)
       VALUES ('e', 'calls', '', 0, '{}', '')`,
  );
  const file = `${store.dir}/backup.db`;
  assert.equal((await backup(store, file)).code, 0);
  db.close();
  assert.deepEqual(
    query(file, "SELECT event_id FROM events"),
    [{ event_id: "e" }],
  );
});

Deno.test("backup follows a link to the database", async () => {
  using store = new TempStore();
  store.insert([]);
  const db = new DatabaseSync(store.path);
  db.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 77");
  await Deno.symlink(store.path, `${store.dir}/link.db`);
  const file = `${store.dir}/backup.db`;
  const env = { DATABASE_URL: `sqlite:///${store.dir}/link.db` };
  const { code } = await run({ args: ["backup", file], env });
  db.close();
  assert.equal(code, 0);
  assert.deepEqual(query(file, "PRAGMA user_version"), [{ user_version: 77 }]);
});

Deno.test("backup of a server under load holds every message that was stored before, and no delivery fails", async () => {
  await using server = await TestServer.start();
  const env = { DATABASE_URL: `sqlite:///${server.databasePath}` };
  const stored: string[] = [];
  let isOver = false;
  const clients = Array.from({ length: 16 }, async () => {
    while (!isOver) {
      const fields = message({ text: "x".repeat(4000) });
      assert.equal(await server.deliver(fields), 200);
      stored.push(fields.message_id);
    }
  });
  await server.loggedTimes(100, ({ result }) => result === "created");
  for (let round = 1; round <= 6; round++) {
    const file = `${server.dir}/backup${round}.db`;
    const before = stored.slice();
    const { code, stderr } = await run({ args: ["backup", file], env });
    assert.equal(stderr, "");
    assert.equal(code, 0);
    const rows = query(file, "SELECT message_id FROM messages");
    const ids = new Set(rows.map(({ message_id }) => message_id));
    assert.deepEqual(before.filter((id) => !ids.has(id)), []);
  }
  isOver = true;
  await Promise.all(clients);
  assert.equal(partFolder(server.dir), undefined);
});

interface Disturbance {
  title: string;
  rows: number;
  /** How many versions there are before, and whether the log is in the file then. */
  versionsBefore: number;
  isLogInFile: boolean;
  /** What is half copied when it is disturbed. */
  copied: "copy.db" | "copy.db-wal";
  versionsMeanwhile: number;
}

const disturbances: Disturbance[] = [
  {
    title: "the file changes",
    rows: 8000,
    versionsBefore: 1,
    isLogInFile: true,
    copied: "copy.db",
    versionsMeanwhile: 2,
  },
  {
    title: "the file changes and takes in its log",
    rows: 8000,
    versionsBefore: 1,
    isLogInFile: false,
    copied: "copy.db",
    versionsMeanwhile: 2,
  },
  {
    title: "the log is started over",
    rows: 1000,
    versionsBefore: 30,
    isLogInFile: true,
    copied: "copy.db-wal",
    versionsMeanwhile: 29,
  },
];

for (const { title, rows, copied, ...disturbance } of disturbances) {
  Deno.test(`backup is of one moment though ${title} while it is copied`, async () => {
    using store = new TempStore();
    store.insert([]);
    const db = new DatabaseSync(store.path);
    db.exec(
      `PRAGMA wal_autocheckpoint = 0;
       CREATE TABLE t (version, filling);
       WITH RECURSIVE numbers (n) AS
         (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${rows})
       INSERT INTO t SELECT 0, hex(zeroblob(1500)) FROM numbers`,
    );
    // A version changes every page of the table.
    const addVersions = (count: number) => {
      for (let n = 0; n < count; n++) {
        db.exec("UPDATE t SET version = version + 1");
      }
    };
    for (let round = 1;; round++) {
      assert(round < 20, "it is never found half copied");
      db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      addVersions(disturbance.versionsBefore);
      // The next one who writes then starts the log over.
      if (disturbance.isLogInFile) db.exec("PRAGMA wal_checkpoint(PASSIVE)");
      const [{ version }] = db.prepare("SELECT version FROM t LIMIT 1").all();
      const bytes = sizeOf(
        copied === "copy.db" ? store.path : `${store.path}-wal`,
      );
      const file = `${store.dir}/backup${round}.db`;
      const process = spawn({ args: ["backup", file], env: store.env });
      let folder: string | undefined;
      while (folder === undefined) folder = partFolder(store.dir);
      const copiedBytes = () => sizeOf(`${folder}/${copied}`);
      while (copiedBytes() === 0 && partFolder(store.dir) !== undefined);
      process.kill("SIGSTOP");
      const isCaught = copiedBytes() > 0 && copiedBytes() < bytes / 2;
      if (isCaught) {
        addVersions(disturbance.versionsMeanwhile);
        db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      }
      process.kill("SIGCONT");
      assert.equal((await process.output()).code, 0);
      const [versions] = query(
        file,
        "SELECT min(version) AS first, max(version) AS last FROM t",
      );
      assert.equal(versions.first, versions.last, "one version");
      assert(Number(versions.first) >= Number(version), "none from before");
      await Deno.remove(file);
      if (isCaught) break;
    }
    db.close();
  });
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(`backup leaves nothing when ${signal} comes, whatever it is doing`, async () => {
    using store = new TempStore();
    store.fill(30_000);
    const bytes = sizeOf(store.path);
    const file = `${store.dir}/backup.db`;
    for (const share of [0, 0.5, 1]) {
      const process = spawn({ args: ["backup", file], env: store.env });
      let folder: string | undefined;
      while (folder === undefined) folder = partFolder(store.dir);
      while (sizeOf(`${folder}/copy.db`) < share * bytes);
      process.kill(signal);
      const { code, stdout, stderr } = await process.output();
      assert.deepEqual(store.otherFiles(), [], `${share}`);
      assert.equal(code, 1);
      assert.equal(stdout.length, 0);
      assert.equal(
        new TextDecoder().decode(stderr),
        `Cannot backup: stopped by ${signal}\n`,
      );
    }
  });
}

Deno.test("backup that is killed leaves no file under the final name, and the next one works", async () => {
  using store = new TempStore();
  store.fill(10_000);
  const bytes = sizeOf(store.path);
  const file = `${store.dir}/backup.db`;
  const process = spawn({ args: ["backup", file], env: store.env });
  let folder: string | undefined;
  while (folder === undefined) folder = partFolder(store.dir);
  while (sizeOf(`${folder}/copy.db`) < bytes);
  process.kill("SIGKILL");
  await process.output();
  assert(!store.otherFiles().includes("backup.db"));
  assert.equal((await backup(store, file)).code, 0);
  assert.equal(query(file, "SELECT * FROM messages").length, 10_000);
});

Deno.test("backup replaces a file with --force only, and only when the new one is whole", async () => {
  using store = new TempStore();
  store.fill(1000);
  const file = `${store.dir}/backup.db`;
  await Deno.writeTextFile(file, "the one before");
  const refused = await backup(store, file);
  assert.equal(refused.code, 1);
  assert.equal(
    refused.stderr,
    `Cannot backup: ${file} exists; --force replaces it\n`,
  );
  // The limit of a file's size stands for that of the disk.
  const limited = await new Deno.Command("sh", {
    args: [
      "-c",
      'trap "" XFSZ; ulimit -f 100; exec "$@"',
      "sh",
      ...serverCommand(),
      "backup",
      "--force",
      file,
    ],
    env: store.env,
  }).output();
  assert.equal(limited.code, 1);
  assert.match(
    new TextDecoder().decode(limited.stderr),
    /^Cannot backup: File too large[^\n]*\n$/,
  );
  assert.deepEqual(store.otherFiles(), ["backup.db"]);
  assert.equal(await Deno.readTextFile(file), "the one before");
  assert.equal((await backup(store, "--force", file)).code, 0);
  assert.equal(query(file, "SELECT * FROM messages").length, 1000);
  assert.deepEqual(store.otherFiles(), ["backup.db"]);
});

Deno.test("backup of a corrupt database fails and leaves nothing", async () => {
  using store = new TempStore();
  store.fill(1000);
  store.corrupt();
  const { code, stdout, stderr } = await backup(store, `${store.dir}/b.db`);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^Cannot backup: \S+\/app\.db is corrupt: [^\n]+\n$/);
  assert.deepEqual(store.otherFiles(), []);
});

Deno.test("backup refuses to write over what is no backup, even with --force", async () => {
  using store = new TempStore();
  store.insert([]);
  const refused = async (file: string, problem: string) => {
    const { code, stdout, stderr } = await backup(store, "--force", file);
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert(stderr.startsWith("Cannot backup: "), stderr);
    assert(stderr.includes(problem), stderr);
    assert.equal(partFolder(store.dir), undefined);
  };
  await Deno.remove(`${store.path}-wal`).catch(() => {});
  await refused(store.path, "is the database itself");
  await Deno.link(store.path, `${store.dir}/link.db`);
  await refused(`${store.dir}/link.db`, "is the database itself");
  await refused(store.dir, "is no file");
  await new Deno.Command("mkfifo", { args: [`${store.dir}/pipe`] }).output();
  await refused(`${store.dir}/pipe`, "is no file");
  await refused(`${store.dir}/no/backup.db`, "cannot write in");
  for (const suffix of ["-wal", "-journal"]) {
    const used = `${store.dir}/used.db`;
    await Deno.writeTextFile(used, "");
    await Deno.writeTextFile(`${used}${suffix}`, "");
    await refused(used, `${used} is a database in use`);
    await Deno.remove(`${used}${suffix}`);
  }
});

Deno.test("backup exits with 1 and one line when the database can't be read", async () => {
  using store = new TempStore();
  const file = `${store.dir}/backup.db`;
  const cannot = async (problem: RegExp, path = store.path) => {
    const env = { DATABASE_URL: `sqlite:///${path}` };
    const { code, stdout, stderr } = await run({
      args: ["backup", file],
      env,
    });
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^Cannot backup: [^\n]+\n$/);
    assert.match(stderr, problem);
    assert.deepEqual(store.otherFiles(), []);
  };
  await cannot(/unable to open database file/);
  await cannot(/in the server's memory/, ":memory:");
  await Deno.writeTextFile(store.path, "not a database ".repeat(100));
  await cannot(/not a database/);
  const { code, stderr } = await run({ args: ["backup"], env: store.env });
  assert.equal(code, 2);
  assert.match(stderr, /^Missing argument FILE\n/);
});
