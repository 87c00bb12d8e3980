import assert from "node:assert/strict";
import { parseRecord } from "../lib/record.ts";

function parse(value: unknown) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return parseRecord(new TextEncoder().encode(text));
}

/** The fields that are wrong, with what is said of them. */
function faults(value: unknown): Record<string, string> {
  const record = parse(value);
  assert(!record.ok, `accepted ${JSON.stringify(value)}`);
  return Object.fromEntries(
    record.errors.map(({ loc, msg }) => [loc.slice(1).join("."), msg]),
  );
}

const received_at = "2025-01-15T10:00:01.123Z";

const message = {
  message_id: "m1",
  from: "+1",
  to: "",
  ts: "2025-01-15T10:00:00Z",
  text: null,
  type: "image",
  contact_name: null,
  payload: '{"n": 12345678901234567890,\n"a":"\\ud83d"}',
};

const event = {
  event_id: "0123456789abcdef".repeat(4),
  kind: "status",
  message_id: "m1",
  ts: "2025-01-15T10:00:00Z",
  payload: '{"status":"read"}',
};

Deno.test("parseRecord() takes a message as it was exported", () => {
  const variants = [
    message,
    { ...message, from: "IN.31", to: "+2", contact_name: "", type: "é" },
    { ...message, text: "x".repeat(10_000), payload: null },
    { ...message, payload: "null" },
  ];
  for (const each of variants) {
    assert.deepEqual(parse({ ...each, received_at, other: 1 }), {
      ok: true,
      delivery: { messages: [each], events: [], receivedAt: received_at },
    });
  }
});

Deno.test("parseRecord() takes an event as it was exported", () => {
  const variants = [
    event,
    { ...event, message_id: null, kind: "calls", payload: "null" },
    { ...event, message_id: null, payload: "[1.0]" },
  ];
  for (const each of variants) {
    assert.deepEqual(parse({ ...each, received_at }), {
      ok: true,
      delivery: { messages: [], events: [each], receivedAt: received_at },
    });
  }
});

Deno.test("parseRecord() takes a message in the simple format, by the rules of POST /webhook", () => {
  const { type, contact_name, payload, ...simple } = {
    ...message,
    to: "+2",
    type: "text",
    payload: null,
  };
  assert.deepEqual(parse(simple), {
    ok: true,
    delivery: {
      messages: [{ ...simple, type, contact_name, payload }],
      events: [],
    },
  });
  assert.deepEqual(Object.keys(faults({ ...simple, to: "" })), ["to"]);
  assert.deepEqual(
    Object.keys(faults({ ...simple, text: "x".repeat(4097) })),
    ["text"],
  );
  assert.deepEqual(Object.keys(faults({})), ["message_id", "from", "to", "ts"]);
});

Deno.test("parseRecord() says which fields are wrong", () => {
  const wrongFields: [record: object, field: string, values: unknown[]][] = [
    [message, "message_id", [undefined, null, 1, "", "x".repeat(513), "a\0"]],
    [message, "from", [undefined, null, 1, "\ud800", "\0"]],
    [message, "to", [undefined, null, {}, "\ud800"]],
    [message, "ts", [undefined, "2025-02-30T00:00:00Z", "2025-01-01", 0]],
    [message, "text", [undefined, 1, "\0", "\udc00"]],
    [message, "type", [null, "", "\0", 5]],
    [message, "contact_name", [undefined, [], "\0"]],
    [message, "payload", [undefined, {}, "", "{", '"\ud800"', "1 2"]],
    [message, "received_at", [undefined, null, "2025-01-15T10:00:00+01:00"]],
    [event, "event_id", [null, "", "g".repeat(64), "A".repeat(64), "a"]],
    [event, "kind", [undefined, null, "", "\0"]],
    [event, "message_id", [undefined, "", 3]],
    [event, "ts", [undefined, "now"]],
    [event, "payload", [undefined, null, "nope", "null", "[]", '"x"']],
    [event, "received_at", [undefined, ""]],
  ];
  for (const [record, field, values] of wrongFields) {
    for (const value of values) {
      const wrong = faults({ ...record, received_at, [field]: value });
      assert.deepEqual(Object.keys(wrong), [field], JSON.stringify(value));
      assert.notEqual(wrong[field], "");
    }
  }
  const { received_at: _, ...all } = { ...message, received_at };
  assert.deepEqual(
    faults({ ...all, from: null, ts: "x" }),
    {
      from: "Input should be a string",
      ts:
        "String should be an existing instant in UTC: YYYY-MM-DDTHH:MM:SS, an optional fraction, then Z",
      received_at: "Field required",
    },
  );
});

Deno.test("parseRecord() refuses what is no object of valid JSON", () => {
  assert.deepEqual(faults("{"), { "": "Body should be valid JSON" });
  for (const value of ["null", "[]", '"type"', "1"]) {
    assert.deepEqual(faults(value), { "": "Input should be a JSON object" });
  }
  const invalid = parseRecord(new Uint8Array([0x22, 0xff, 0x22]));
  assert.equal(invalid.ok, false);
});
