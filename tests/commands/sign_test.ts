import assert from "node:assert/strict";
import { run, type RunOptions, secret, signatureOf } from "../harness.ts";

Deno.test("sign prints the X-Signature of the exact bytes of stdin or a file", async () => {
  const body = new Uint8Array([
    ...new TextEncoder().encode('{"é":1}\r\n'),
    0,
    255,
  ]);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeFile(file, body);
    const env = { WEBHOOK_SECRET: secret };
    const stdout = `${signatureOf(body)}\n`;
    const runs: RunOptions[] = [
      { args: ["sign"], env, stdin: body },
      { args: ["sign", "-"], env, stdin: body },
      { args: ["sign", file], env },
    ];
    for (const each of runs) {
      assert.deepEqual(await run(each), { code: 0, stdout, stderr: "" });
    }
    assert.deepEqual(
      await run({ args: ["sign"], env }),
      { code: 0, stdout: `${signatureOf("")}\n`, stderr: "" },
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("sign exits with 1 without a secret or a file that can be read", async () => {
  const stdin = new TextEncoder().encode("{}");
  const withoutSecret = await run({ args: ["sign"], stdin });
  assert.deepEqual(withoutSecret, {
    code: 1,
    stdout: "",
    stderr: "Cannot sign: WEBHOOK_SECRET is not set\n",
  });
  const file = `${Deno.cwd()}/no-such-file.json`;
  const withoutFile = await run({
    args: ["sign", file],
    env: { WEBHOOK_SECRET: secret },
  });
  assert.equal(withoutFile.code, 1);
  assert.equal(withoutFile.stdout, "");
  assert(withoutFile.stderr.startsWith(`Cannot sign: cannot read ${file}: `));
});
