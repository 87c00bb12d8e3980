import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { simple } from "../../lib/providers/simple.ts";

const valid = {
  message_id: "m1",
  from: "+919876543210",
  to: "+14155550100",
  ts: "2025-01-15T10:00:00Z",
  text: "Hello",
};

/** What is made of a body, given as bytes, as JSON text or as a value. */
function parse(body: unknown) {
  if (body instanceof Uint8Array) return simple.parse(body);
  const json = typeof body === "string" ? body : JSON.stringify(body);
  return simple.parse(new TextEncoder().encode(json));
}

/** What a body becomes that holds this message and nothing else. */
function delivered(message: object) {
  const stored = {
    ...message,
    type: "text",
    contact_name: null,
    payload: null,
  };
  return { ok: true, delivery: { messages: [stored], events: [] } };
}

/** The `field:type` of every error. */
function faults(body: unknown): string[] {
  const parsed = parse(body);
  return parsed.ok
    ? []
    : parsed.errors.map(({ loc, type }) => `${loc.slice(1)}:${type}`);
}

const emoji = "😀";

Deno.test("simple.parse() gives back what was sent when every field is valid", () => {
  const variants: Partial<Record<keyof typeof valid, string>>[] = [
    {},
    { message_id: "  not trimmed\n" },
    { message_id: "x" },
    { message_id: emoji.repeat(512) },
    { from: "+1", to: `+${"9".repeat(32)}` },
    { ts: "2024-02-29T23:59:59.123456789Z" },
    { text: "" },
    { text: "a".repeat(4096) },
    { text: emoji.repeat(4096) },
    { text: "\u0001\u2028\ufeff\uffff" },
  ];
  for (const fields of variants) {
    const message = { ...valid, ...fields };
    assert.deepEqual(parse(message), delivered(message));
  }
});

Deno.test("simple.parse() gives a text of null when text is null or missing", () => {
  const message = { ...valid, text: null };
  assert.deepEqual(parse(message), delivered(message));
  const { text: _, ...withoutText } = valid;
  assert.deepEqual(parse(withoutText), delivered(message));
});

Deno.test("simple.parse() ignores other fields when there are any", () => {
  const body = { ...valid, id: 1, From: null, nested: { from: 1 } };
  assert.deepEqual(parse(body), delivered(valid));
});

Deno.test("simple.parse() names the field and the reason when one field is invalid", () => {
  const invalid: [field: keyof typeof valid, value: unknown, type: string][] = [
    ["message_id", undefined, "missing"],
    ["message_id", null, "string_type"],
    ["message_id", 1, "string_type"],
    ["message_id", "", "string_too_short"],
    ["message_id", "a".repeat(513), "string_too_long"],
    ["message_id", emoji.repeat(513), "string_too_long"],
    ["message_id", "\0".repeat(513), "string_too_long"],
    ["message_id", "a\0b", "string_unicode"],
    ["message_id", "\ud800", "string_unicode"],
    ["from", undefined, "missing"],
    ["from", 919876543210, "string_type"],
    ["from", "", "string_pattern_mismatch"],
    ["from", "+", "string_pattern_mismatch"],
    ["from", "919876543210", "string_pattern_mismatch"],
    ["from", " +1", "string_pattern_mismatch"],
    ["from", "+1\n", "string_pattern_mismatch"],
    ["from", "++1", "string_pattern_mismatch"],
    ["from", "+1 2", "string_pattern_mismatch"],
    ["from", "+١٢", "string_pattern_mismatch"],
    ["from", `+${"1".repeat(33)}`, "string_pattern_mismatch"],
    ["to", null, "string_type"],
    ["to", "+1a", "string_pattern_mismatch"],
    ["ts", 1736935200, "string_type"],
    ["ts", "2025-01-15T10:00:00", "datetime_parsing"],
    ["ts", "2025-01-15T10:00:00+00:00", "datetime_parsing"],
    ["ts", "2025-02-30T10:00:00Z", "datetime_parsing"],
    ["text", 5, "string_type"],
    ["text", ["Hello"], "string_type"],
    ["text", "a".repeat(4097), "string_too_long"],
    ["text", emoji.repeat(4097), "string_too_long"],
    ["text", `a${emoji.repeat(4096)}`, "string_too_long"],
    ["text", "\udc00\ud800", "string_unicode"],
    ["text", "\0", "string_unicode"],
  ];
  for (const [field, value, type] of invalid) {
    const hint = `${field}=${JSON.stringify(value)?.slice(0, 40)}`;
    assert.deepEqual(
      faults({ ...valid, [field]: value }),
      [`${field}:${type}`],
      hint,
    );
  }
});

Deno.test("simple.parse() reports all fields at once when several are invalid", () => {
  assert.deepEqual(parse({ message_id: "m1", from: "1", ts: "now", text: 1 }), {
    ok: false,
    messageId: "m1",
    errors: [
      {
        type: "string_pattern_mismatch",
        loc: ["body", "from"],
        msg: "String should be '+' and 1 to 32 digits",
      },
      { type: "missing", loc: ["body", "to"], msg: "Field required" },
      {
        type: "datetime_parsing",
        loc: ["body", "ts"],
        msg:
          "String should be an existing instant in UTC: YYYY-MM-DDTHH:MM:SS, an optional fraction, then Z",
      },
      {
        type: "string_type",
        loc: ["body", "text"],
        msg: "Input should be a string",
      },
    ],
  });
});

Deno.test("simple.parse() gives no message_id when that is invalid too", () => {
  for (const message_id of [undefined, 1, "", "\0", "a".repeat(513)]) {
    const parsed = parse({ ...valid, message_id, from: "1" });
    assert(!parsed.ok);
    assert.equal(parsed.messageId, undefined);
    assert.equal(parsed.errors.length, 2);
  }
});

Deno.test("simple.parse() finds the fields missing when they hide under __proto__", () => {
  assert.deepEqual(
    faults(`{"__proto__":${JSON.stringify(valid)}}`),
    ["message_id:missing", "from:missing", "to:missing", "ts:missing"],
  );
});

Deno.test("simple.parse() says dict_type when the JSON is no object", () => {
  for (const body of ["null", "1", '"m1"', "true", "[]", `[{"from":"+1"}]`]) {
    assert.deepEqual(faults(body), [":dict_type"], body);
  }
});

Deno.test("simple.parse() says json_invalid when the body is no JSON", () => {
  const json = JSON.stringify(valid);
  const bodies = [
    "",
    "Hello",
    json.slice(0, -1),
    `${json}{}`,
    `\ufeff${json}`,
    json.replaceAll('"', "'"),
    `{"text":"\n"}`,
    "[".repeat(1 << 20),
  ];
  for (const body of bodies) {
    assert.deepEqual(parse(body), {
      ok: false,
      errors: [{
        type: "json_invalid",
        loc: ["body"],
        msg: "Body should be valid JSON",
      }],
    }, body.slice(0, 40));
  }
});

Deno.test("simple.parse() says json_invalid when the body is no UTF-8", () => {
  const quoted = (...bytes: number[]) => new Uint8Array([0x22, ...bytes, 0x22]);
  const bodies = [
    quoted(0xff),
    quoted(0xc3), // é without its end
    quoted(0xc0, 0xaf), // an overlong slash
    quoted(0xed, 0xa0, 0x80), // a lone surrogate
    new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]), // {} in UTF-16
  ];
  for (const body of bodies) {
    assert.deepEqual(parse(body), {
      ok: false,
      errors: [{
        type: "json_invalid",
        loc: ["body"],
        msg: "Body should be valid UTF-8",
      }],
    }, body.join());
  }
});

Deno.test("simple.verifier() checks X-Signature when WEBHOOK_SECRET is set", async () => {
  const bytes = new TextEncoder().encode(JSON.stringify(valid));
  const signedWith = (key: string, header = "x-signature") =>
    new Request("http://localhost/webhook", {
      headers: {
        [header]: createHmac("sha256", key).update(bytes).digest("hex"),
      },
    });
  assert.equal(await simple.verifier({}), undefined);
  assert.equal(
    await simple.verifier({ WEBHOOK_SECRET_PREVIOUS: "old" }),
    undefined,
  );
  const verify = await simple.verifier({
    WEBHOOK_SECRET: "new",
    WEBHOOK_SECRET_PREVIOUS: "old",
    WHATSAPP_APP_SECRET: "other",
  });
  assert(verify !== undefined);
  const verdicts: [request: Request, verdict: object][] = [
    [signedWith("new"), { ok: true, withPrevious: false }],
    [signedWith("old"), { ok: true, withPrevious: true }],
    [signedWith("other"), { ok: false, reason: "mismatch" }],
    [signedWith("new", "x-hub-signature-256"), {
      ok: false,
      reason: "missing",
    }],
  ];
  for (const [request, verdict] of verdicts) {
    assert.deepEqual(await verify(request, bytes), verdict);
  }
});
