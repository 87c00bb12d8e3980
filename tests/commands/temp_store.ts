import { DatabaseSync } from "node:sqlite";
import type { DeliveredEvent, DeliveredMessage } from "../../lib/message.ts";
import { migrate } from "../../lib/store/sqlite/schema.ts";
import { Writer } from "../../lib/store/sqlite/writer.ts";

/** A folder with a database for commands to work on; gone at the end. */
export class TempStore implements Disposable {
  readonly dir = Deno.makeTempDirSync();
  readonly path = `${this.dir}/app.db`;
  /** What tells a command where it is. */
  readonly env = { DATABASE_URL: `sqlite:///${this.path}` };

  /** Makes the database, if there is none, and stores these. */
  insert(
    messages: readonly DeliveredMessage[],
    events: readonly DeliveredEvent[] = [],
    receivedAt?: string,
  ): void {
    const db = new DatabaseSync(this.path);
    db.exec("PRAGMA journal_mode = WAL");
    migrate(db);
    new Writer(db).insert([{ messages, events, receivedAt }]);
    db.close();
  }

  /** Stores so many messages, with payloads of about this size, fast. */
  fill(count: number, payloadBytes = 800): void {
    this.insert([]);
    this.exec(
      `WITH RECURSIVE numbers (n) AS
         (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
       INSERT INTO messages
         (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, type, payload,
          created_at)
         SELECT 'message ' || n, '+' || (n % 1000), '+2', '2025-01-15T10:00:00Z',
                1736935200000, 'Hello ' || n, 'text',
                '{"n":' || n || ',"filling":"' || hex(zeroblob(${
        payloadBytes / 2
      })) || '"}',
                '2025-01-15T10:00:01.000Z'
           FROM numbers`,
    );
  }

  exec(sql: string): void {
    const db = new DatabaseSync(this.path);
    db.exec(sql);
    db.close();
  }

  /** Damages an index, as a bad disk might. */
  corrupt(): void {
    const db = new DatabaseSync(this.path);
    const { rootpage } = db.prepare(
      "SELECT rootpage FROM sqlite_schema WHERE name = 'messages_by_instant'",
    ).get()!;
    db.close();
    using file = Deno.openSync(this.path, { write: true });
    // A page's content is at its end.
    file.seekSync(Number(rootpage) * 4096 - 500, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array(500));
  }

  /** All rows of a table, without their numbers. */
  rows(table: "messages" | "events"): Record<string, unknown>[] {
    const db = new DatabaseSync(this.path);
    const rows = db.prepare(`SELECT * FROM ${table} ORDER BY seq`).all();
    db.close();
    return rows.map(({ seq: _, ...row }) => ({ ...row }));
  }

  /** The files beside the database that are not its own. */
  otherFiles(): string[] {
    return Array.from(Deno.readDirSync(this.dir), ({ name }) => name)
      .filter((name) => !/^app\.db(-wal|-shm)?$/.test(name));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** The most memory that a process has used, in bytes; 0 once it has ended. */
export function peakRssBytes({ pid }: Deno.ChildProcess): number {
  const status = readProc("cat", `/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}

/** Whether a process has a file open. */
export function hasOpen({ pid }: Deno.ChildProcess, path: string): boolean {
  return readProc("ls", "-l", `/proc/${pid}/fd`).includes(` -> ${path}\n`);
}

/** Deno itself reads nothing in /proc, unless it may do everything. */
function readProc(command: string, ...args: string[]): string {
  const { stdout } = new Deno.Command(command, { args, stderr: "null" })
    .outputSync();
  return new TextDecoder().decode(stdout);
}
