import { DatabaseSync } from "node:sqlite";

/** A database file of its own, and connections to it; all gone at the end. */
export class TempDatabase implements Disposable {
  readonly #dir = Deno.makeTempDirSync();
  readonly path = `${this.#dir}/app.db`;
  readonly #connections: DatabaseSync[] = [];

  open({ readOnly = false } = {}): DatabaseSync {
    const db = new DatabaseSync(this.path, { readOnly });
    this.#connections.push(db);
    return db;
  }

  [Symbol.dispose](): void {
    for (const db of this.#connections) db.close();
    Deno.removeSync(this.#dir, { recursive: true });
  }
}
