import assert from "node:assert/strict";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { DeliveredEvent, DeliveredMessage } from "../../../lib/message.ts";
import { Indexer } from "../../../lib/store/sqlite/indexer.ts";
import { optimize } from "../../../lib/store/sqlite/optimize.ts";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import { TempDatabase } from "./temp_database.ts";
import { event, message } from "./test_store.ts";

const rows = 2000;
const firstMs = Date.UTC(2025, 0, 1);

/** The plans of whatever a reader asks for all its answers. */
function plansOf(db: DatabaseSync): Map<string, string> {
  const plans = new Map<string, string>();
  const explaining = {
    exec: (sql: string) => db.exec(sql),
    prepare(sql: string): Pick<StatementSync, "all"> {
      const [statement, explain] = [sql, `EXPLAIN QUERY PLAN ${sql}`]
        .map((sql) => db.prepare(sql));
      return {
        all(...values: never[]) {
          const steps = explain.all(...values).map(({ detail }) => detail);
          plans.set(`${sql} ${JSON.stringify(values)}`, steps.join("\n"));
          return statement.all(...values);
        },
      };
    },
  } as DatabaseSync;
  const filters = {
    from: [undefined, "+1"],
    q: [undefined, "h", "hello", "hello 1999", "\x01"],
    type: [undefined, "text"],
    sinceMs: [undefined, firstMs + rows / 2],
  };
  for (const maxRows of [10, rows]) {
    const reader = new Reader(explaining, {
      maxSorted: maxRows,
      maxCandidates: maxRows,
    });
    for (const from of filters.from) {
      for (const q of filters.q) {
        for (const type of filters.type) {
          for (const sinceMs of filters.sinceMs) {
            reader.listMessages({ from, q, type, sinceMs }, 50, 1000);
          }
        }
      }
    }
    for (const kind of [undefined, "a", "b"]) {
      for (const messageId of [undefined, "m", "m7"]) {
        for (const sinceMs of filters.sinceMs) {
          reader.listEvents({ kind, messageId, sinceMs }, 50, 1000);
        }
      }
    }
    reader.stats();
    reader.getMessage("m7");
  }
  return plans;
}

Deno.test("optimize() changes no plan of a read, however the values are spread", () => {
  const spreads: ((
    n: number,
  ) => [Partial<DeliveredMessage>, Partial<DeliveredEvent>])[] = [
    // All the same but one in a thousand, and all different.
    (n) => {
      const isRare = n % 1000 === 999;
      return [
        { from: isRare ? "+2" : "+1", type: isRare ? "image" : "text" },
        { kind: isRare ? "b" : "a", message_id: isRare ? "m7" : "m" },
      ];
    },
    (n) => {
      const ts = new Date(firstMs + n).toISOString();
      return [{ from: `+${n}`, type: `t${n}`, ts }, {
        kind: `k${n}`,
        message_id: `m${n}`,
        ts,
      }];
    },
  ];
  for (const spread of spreads) {
    using temp = new TempDatabase();
    const db = temp.open();
    migrate(db);
    const messages = Array.from(
      { length: rows },
      (_, n) => message({ text: `Hello ${n}`, ...spread(n)[0] }),
    );
    const events = Array.from({ length: rows }, (_, n) => event(spread(n)[1]));
    new Writer(db).insert([{ messages, events }]);
    new Indexer(db).index(rows - 10);
    const before = plansOf(db);
    optimize(db);
    const { analyzed } = db.prepare(
      "SELECT count(*) AS analyzed FROM sqlite_stat1 WHERE tbl IN ('messages', 'events')",
    ).get()!;
    assert(Number(analyzed) > 0);
    assert(before.size > 100);
    assert.deepEqual(plansOf(db), before);
  }
});
