import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { importKey, sign, verify } from "../lib/signature.ts";

const body = new TextEncoder().encode('{"message_id":"m1"}');
const key = await importKey("secret");
const signature = createHmac("sha256", "secret").update(body).digest("hex");

Deno.test("sign() gives the digest of RFC 4231 when signing its test case 2", async () => {
  const bytes = new TextEncoder().encode("what do ya want for nothing?");
  assert.equal(
    await sign(await importKey("Jefe"), bytes),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  );
});

Deno.test("sign() agrees with node:crypto when secrets and bodies are of any kind", async () => {
  const bodies = [
    new Uint8Array(),
    new Uint8Array([0, 255, 0xed, 0xa0, 0x80, 10]),
    crypto.getRandomValues(new Uint8Array(65_536)),
    body.subarray(3, 9),
  ];
  for (const secret of ["s", "für 😀\n", "k".repeat(200)]) {
    for (const bytes of bodies) {
      const expected = createHmac("sha256", secret).update(bytes).digest("hex");
      assert.equal(await sign(await importKey(secret), bytes), expected);
    }
  }
});

Deno.test("verify() accepts when the signature is right, in either case of hex", async () => {
  const mixed = signature.slice(0, 32).toUpperCase() + signature.slice(32);
  for (const header of [signature, signature.toUpperCase(), mixed]) {
    assert.deepEqual(await verify(key, body, header), { ok: true }, header);
  }
});

Deno.test("verify() says missing when there is no header", async () => {
  const verdict = await verify(key, body, null);
  assert.deepEqual(verdict, { ok: false, reason: "missing" });
});

Deno.test("verify() says malformed when the header is anything but 64 hex digits", async () => {
  const malformed = [
    "",
    signature.slice(1),
    `${signature}0`,
    `${signature}\n`,
    ` ${signature}`,
    `sha256=${signature}`,
    `0x${signature.slice(2)}`,
    `${signature}, ${signature}`,
    `${signature.slice(1)}g`,
    `${signature.slice(1)}０`,
    createHmac("sha256", "secret").update(body).digest("base64"),
  ];
  for (const header of malformed) {
    const verdict = await verify(key, body, header);
    assert.deepEqual(verdict, { ok: false, reason: "malformed" }, header);
  }
});

Deno.test("verify() says mismatch when a digit, a byte or the key is another", async () => {
  const otherDigit = (digit: string) => digit === "0" ? "1" : "0";
  const mismatches: [header: string, bytes: Uint8Array<ArrayBuffer>][] = [
    [otherDigit(signature[0]) + signature.slice(1), body],
    [signature.slice(0, 63) + otherDigit(signature[63]), body],
    [createHmac("sha256", "Secret").update(body).digest("hex"), body],
    [
      createHmac("sha1", "secret").update(body).digest("hex") + "0".repeat(24),
      body,
    ],
    [signature, new Uint8Array([...body, 10])],
    [signature, body.subarray(1)],
    [signature, new Uint8Array()],
  ];
  for (const [header, bytes] of mismatches) {
    const verdict = await verify(key, bytes, header);
    assert.deepEqual(verdict, { ok: false, reason: "mismatch" }, header);
  }
});
