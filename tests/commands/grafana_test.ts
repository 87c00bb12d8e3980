import assert from "node:assert/strict";
import { run } from "../harness.ts";

interface Panel {
  id: number;
  type: string;
  title: string;
  datasource?: unknown;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { refId: string; expr: string; legendFormat: string }[];
}

Deno.test("grafana prints a dashboard that can be imported, whatever the data source", async () => {
  const { code, stdout, stderr } = await run({ args: ["grafana"] });
  assert.equal(code, 0);
  assert.equal(stderr, "");
  const { title, uid, schemaVersion, templating, panels } = JSON.parse(stdout);
  assert(title && uid);
  assert(schemaVersion >= 36, "the oldest with data sources as objects");
  const variables = templating.list.map(({ name }: { name: string }) => name);
  assert.deepEqual(variables, ["datasource", "job", "instance"]);
  const source = { type: "prometheus", uid: "${datasource}" };
  const taken = new Set<string>();
  const ids = new Set<number>();
  for (
    const { id, type, title, gridPos, targets, datasource } of panels as Panel[]
  ) {
    ids.add(id);
    const { x, y, w, h } = gridPos;
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const cell = `${column},${line}`;
        assert(column < 24 && !taken.has(cell), `${title} overlaps`);
        taken.add(cell);
      }
    }
    if (type === "row") continue;
    assert.deepEqual(datasource, source, title);
    assert(targets!.length > 0, title);
    const names = targets!.map(({ refId }) => refId);
    assert.equal(new Set(names).size, names.length, title);
    for (const { expr, legendFormat } of targets!) {
      assert.match(expr, /{job="\$job",instance=~"\$instance"/);
      assert(legendFormat, title);
    }
  }
  assert.equal(ids.size, panels.length);
});
