import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { hmacVerifier, importKey, sign } from "../lib/signature.ts";

const body = new TextEncoder().encode('{"message_id":"m1"}');
const signature = digestWith("secret");

function digestWith(key: string, encoding: "hex" | "base64" = "hex"): string {
  return createHmac("sha256", key).update(body).digest(encoding);
}

/** What is said of a signature, with "secret" and maybe one before it. */
async function verdictOf(
  given: string | null,
  bytes = body,
  previousSecret?: string,
) {
  const request = new Request("http://localhost/");
  const verify = await hmacVerifier("secret", previousSecret, (asked) => {
    assert.equal(asked, request);
    return given;
  });
  return await verify!(request, bytes);
}

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

Deno.test("hmacVerifier() accepts when the signature is right, in either case of hex", async () => {
  const mixed = signature.slice(0, 32).toUpperCase() + signature.slice(32);
  for (const header of [signature, signature.toUpperCase(), mixed]) {
    assert.deepEqual(
      await verdictOf(header),
      { ok: true, withPrevious: false },
      header,
    );
  }
});

Deno.test("hmacVerifier() says missing when there is no header", async () => {
  const verdict = await verdictOf(null);
  assert.deepEqual(verdict, { ok: false, reason: "missing" });
});

Deno.test("hmacVerifier() says malformed when the header is anything but 64 hex digits", async () => {
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
    digestWith("secret", "base64"),
  ];
  for (const header of malformed) {
    const verdict = await verdictOf(header);
    assert.deepEqual(verdict, { ok: false, reason: "malformed" }, header);
  }
});

Deno.test("hmacVerifier() says mismatch when a digit, a byte or the key is another", async () => {
  const otherDigit = (digit: string) => digit === "0" ? "1" : "0";
  const mismatches: [header: string, bytes: Uint8Array<ArrayBuffer>][] = [
    [otherDigit(signature[0]) + signature.slice(1), body],
    [signature.slice(0, 63) + otherDigit(signature[63]), body],
    [digestWith("Secret"), body],
    [
      createHmac("sha1", "secret").update(body).digest("hex") + "0".repeat(24),
      body,
    ],
    [signature, new Uint8Array([...body, 10])],
    [signature, body.subarray(1)],
    [signature, new Uint8Array()],
  ];
  for (const [header, bytes] of mismatches) {
    const verdict = await verdictOf(header, bytes);
    assert.deepEqual(verdict, { ok: false, reason: "mismatch" }, header);
  }
});

Deno.test("hmacVerifier() says which secret when there is a previous one", async () => {
  const cases: [given: string | null, verdict: object][] = [
    [signature, { ok: true, withPrevious: false }],
    [digestWith("old"), { ok: true, withPrevious: true }],
    [digestWith("old").toUpperCase(), { ok: true, withPrevious: true }],
    [digestWith("older"), { ok: false, reason: "mismatch" }],
    [digestWith("old").slice(1), { ok: false, reason: "malformed" }],
    [null, { ok: false, reason: "missing" }],
  ];
  for (const [given, verdict] of cases) {
    assert.deepEqual(await verdictOf(given, body, "old"), verdict, `${given}`);
  }
  assert.deepEqual(
    await verdictOf(digestWith("old"), new Uint8Array([1]), "old"),
    { ok: false, reason: "mismatch" },
  );
  // The same secret twice is the current one.
  assert.deepEqual(
    await verdictOf(signature, body, "secret"),
    { ok: true, withPrevious: false },
  );
});

Deno.test("hmacVerifier() gives undefined when there is no secret, even with a previous one", async () => {
  for (const previous of [undefined, "old"]) {
    assert.equal(await hmacVerifier(undefined, previous, () => ""), undefined);
  }
});
