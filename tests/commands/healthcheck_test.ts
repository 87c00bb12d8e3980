import assert from "node:assert/strict";
import { run } from "../harness.ts";

Deno.test("healthcheck exits with 1 when nobody listens", async () => {
  // Nobody listens on a privileged port that no service has used for decades.
  const env = { HOST: "127.0.0.1", PORT: "1" };
  const { code, stdout, stderr } = await run({ args: ["healthcheck"], env });
  assert.equal(code, 1);
  assert.equal(stdout, "");
  assert(stderr.startsWith("No answer from http://127.0.0.1:1/health/ready: "));
});

Deno.test("healthcheck exits as /health/ready says", async () => {
  const answers: [status: number, body: unknown, code: number, said: string][] =
    [
      [200, { status: "ready" }, 0, "ready\n"],
      [503, { detail: "not ready: why" }, 1, "not ready: why\n"],
    ];
  for (const [status, body, expected, said] of answers) {
    const paths: string[] = [];
    await using server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen() {},
    }, ({ url }) => {
      paths.push(new URL(url).pathname);
      return Response.json(body, { status });
    });
    const env = { HOST: "127.0.0.1", PORT: `${server.addr.port}` };
    const { code, stdout } = await run({ args: ["healthcheck"], env });
    assert.equal(code, expected);
    assert.equal(stdout, said);
    assert.deepEqual(paths, ["/health/ready"]);
  }
});
