import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import type { DeliveredEvent, DeliveredMessage } from "../../lib/message.ts";
import { whatsapp } from "../../lib/providers/whatsapp.ts";
import { Reader } from "../../lib/store/sqlite/reader.ts";
import { migrate } from "../../lib/store/sqlite/schema.ts";
import { Writer } from "../../lib/store/sqlite/writer.ts";

type Fields = Record<string, unknown>;

const fixtures: Record<string, string> = Object.fromEntries(
  Array.from(
    Deno.readDirSync(new URL("../fixtures/meta/", import.meta.url)),
    ({ name }) => [
      name.replace(".json", ""),
      Deno.readTextFileSync(
        new URL(`../fixtures/meta/${name}`, import.meta.url),
      ),
    ],
  ),
);

/** What a body becomes, given as JSON text or as a value. */
function parse(body: unknown) {
  const json = typeof body === "string" ? body : JSON.stringify(body);
  const parsed = whatsapp.parse(new TextEncoder().encode(json));
  assert(parsed.ok, json.slice(0, 200));
  return parsed.delivery;
}

/** A body with one change. */
function bodyOf(value: unknown, change: Fields = {}, entry: Fields = {}) {
  return {
    object: "whatsapp_business_account",
    entry: [{
      id: "310",
      ...entry,
      changes: [{ field: "messages", ...change, value }],
    }],
  };
}

const contact = {
  profile: { name: "Asha Rao" },
  wa_id: "919876543210",
  user_id: "IN.44",
};

const element = {
  from: "919876543210",
  id: "wamid.1",
  timestamp: "1736935200",
  type: "text",
  text: { body: "Hello" },
};

const status = {
  id: "wamid.OUT",
  status: "read",
  timestamp: "1736935210",
  recipient_id: "919876543210",
};

/** A value with this message from this contact. */
function valueOf(fields: Fields = {}, value: Fields = {}) {
  return {
    messaging_product: "whatsapp",
    metadata: { display_phone_number: "14155550100", phone_number_id: "2" },
    contacts: [contact],
    messages: [{ ...element, ...fields }],
    ...value,
  };
}

/** The one message of a body, and nothing else. */
function onlyMessage(body: unknown): DeliveredMessage {
  const { messages, events } = parse(body);
  assert.deepEqual([messages.length, events.length], [1, 0]);
  return messages[0];
}

function onlyEvent(body: unknown): DeliveredEvent {
  const { messages, events } = parse(body);
  assert.deepEqual([messages.length, events.length], [0, 1]);
  return events[0];
}

/** The message that {@linkcode element} becomes with other fields. */
function messageWith(fields: Fields, value: Fields = {}): DeliveredMessage {
  return onlyMessage(bodyOf(valueOf(fields, value)));
}

/** Checks that an instant is the test's own. */
function assertNow(ts: string): void {
  assert.match(ts, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const ageMs = Date.now() - Date.parse(ts);
  assert(ageMs >= 0 && ageMs < 60_000, ts);
}

function idOf(body: unknown): string {
  return onlyEvent(body).event_id;
}

Deno.test("whatsapp.parse() projects every message of the documentation", () => {
  const asha = "+919876543210";
  const us = "+14155550100";
  const texts: Record<string, [type: string, text: string | null]> = {
    audio_voice: ["audio", null],
    button_reply: ["interactive", "Confirm"],
    contacts: ["contacts", null],
    document_no_caption: ["document", null],
    image_caption: ["image", "The broken part"],
    list_reply: ["interactive", "Tuesday 10:00"],
    location: ["location", "Cubbon Park, Bengaluru"],
    reaction: ["reaction", "👍"],
    reaction_removed: ["reaction", null],
    revoke: ["revoke", null],
    template_button: ["button", "Stop promotions"],
    text: ["text", "Is the blue one in stock? 😀 Grüße"],
    text_reply: ["text", "Yes, that one"],
    unsupported: ["unsupported", null],
  };
  for (const [name, [type, text]] of Object.entries(texts)) {
    const [sent] =
      JSON.parse(fixtures[name]).entry[0].changes[0].value.messages;
    const { payload, ...message } = onlyMessage(fixtures[name]);
    assert.deepEqual(message, {
      message_id: sent.id,
      from: asha,
      to: us,
      ts: new Date(sent.timestamp * 1000).toISOString().replace(".000", ""),
      text,
      type,
      contact_name: "Asha Rao",
    }, name);
    assert(fixtures[name].includes(payload!), "exactly as it was sent");
    assert.deepEqual(JSON.parse(payload!), sent);
  }
  const { payload: _, ...echo } = onlyMessage(fixtures.business_echo);
  assert.deepEqual(echo, {
    message_id: "wamid.ECHO1==",
    from: us,
    to: asha,
    ts: "2025-01-15T10:06:40Z",
    text: "Sent from the phone app",
    type: "text",
    contact_name: null,
  });
  const nameless = onlyMessage(fixtures.username_without_number);
  assert.equal(nameless.from, "IN.4410092817264523");
  assert.equal(nameless.to, us);
  assert.equal(nameless.contact_name, "Asha Rao");
  assert.equal(onlyMessage(fixtures.system_number_changed).type, "system");
});

Deno.test("whatsapp.parse() makes an event of everything else in the documentation", () => {
  const ids = new Set<string>();
  const statuses: [name: string, messageId: string, ts: string][] = [
    ["status_sent", "wamid.OUT1==", "2025-01-15T10:00:10Z"],
    ["status_delivered", "wamid.OUT1==", "2025-01-15T10:00:12Z"],
    ["status_failed", "wamid.OUT4==", "2025-01-15T10:00:20Z"],
  ];
  for (const [name, message_id, ts] of statuses) {
    const { event_id, payload, ...event } = onlyEvent(fixtures[name]);
    assert.deepEqual(event, { kind: "status", message_id, ts });
    assert(fixtures[name].includes(payload));
    ids.add(event_id);
  }
  const others = [
    ["account_update", "account_update"],
    ["template_status", "message_template_status_update"],
  ];
  for (const [name, kind] of others) {
    const event = onlyEvent(fixtures[name]);
    const [{ value }] = JSON.parse(fixtures[name]).entry[0].changes;
    assert.equal(event.kind, kind);
    assert.equal(event.message_id, null);
    assert.deepEqual(JSON.parse(event.payload), value);
    assertNow(event.ts);
    ids.add(event.event_id);
  }
  assert.equal(ids.size, 5);
  for (const id of ids) assert.match(id, /^[0-9a-f]{64}$/);
});

Deno.test("whatsapp.parse() gives every element when a batch holds several, repeats too", () => {
  const { messages, events } = parse(fixtures.batch_with_a_repeat);
  assert.deepEqual(
    messages.map(({ from, text, contact_name }) => [from, text, contact_name]),
    [
      ["+919876543210", "first", "Asha Rao"],
      ["+919876543210", "second", "Asha Rao"],
      ["+447700900123", "third, another account", "Sam Hill"],
      ["+919876543210", "first", "Asha Rao"],
    ],
  );
  assert.deepEqual(messages[3], messages[0]);
  assert.deepEqual(events.map(({ kind }) => kind), ["status"]);
});

Deno.test("whatsapp.parse() gives numbers with + and digits only, whatever stands between", () => {
  const numbers: [sent: unknown, stored: string][] = [
    ["14155550100", "+14155550100"],
    ["+14155550100", "+14155550100"],
    ["+1 415-555-0100", "+14155550100"],
    ["1 (415) 555.0100", "+14155550100"],
    ["1\u00a0415\u202f5550100", "+14155550100"],
    ["IN.44", "IN.44"],
    ["not a number", "not a number"],
    ["1+2", "1+2"],
  ];
  for (const [sent, stored] of numbers) {
    const metadata = { display_phone_number: sent };
    const { from, to } = messageWith({ from: sent }, { metadata });
    assert.deepEqual([from, to], [stored, stored], `${sent}`);
  }
});

Deno.test("whatsapp.parse() gives the element's own other side before the one of the metadata", () => {
  assert.equal(messageWith({ to: "+1 5" }).to, "+15");
  const value = {
    metadata: { display_phone_number: "1 415" },
    message_echoes: [
      { ...element, id: "1", from: undefined, to: "919876543210" },
      { ...element, id: "2", from: "1 7", to: "91 98" },
      {
        ...element,
        id: "3",
        from: "17",
        to: undefined,
        to_user_id: "IN.44",
      },
    ],
  };
  assert.deepEqual(
    parse(bodyOf(value)).messages.map(({ from, to }) => `${from} ${to}`),
    ["+1415 +919876543210", "+17 +9198", "+17 IN.44"],
  );
});

Deno.test("whatsapp.parse() gives the business-scoped id when there is no number", () => {
  const noNumber = { from: undefined, from_user_id: "IN.44" };
  const { wa_id: _, ...username } = contact;
  const other = { profile: { name: "Other" }, wa_id: "1", user_id: "GB.1" };
  const senders: [
    fields: Fields,
    contacts: unknown,
    from: string,
    name: string | null,
  ][] = [
    [noNumber, [username], "IN.44", "Asha Rao"],
    [noNumber, [other, username], "IN.44", "Asha Rao"],
    [noNumber, [other, { ...username, user_id: "X" }], "IN.44", null],
    [noNumber, [], "IN.44", null],
    [noNumber, undefined, "IN.44", null],
    [{ from: undefined }, [username], "IN.44", "Asha Rao"],
    [{ from: undefined }, [contact], "+919876543210", "Asha Rao"],
    [
      { from: null, from_user_id: "IN.44" },
      [
        { ...other, wa_id: null },
        { ...username, wa_id: null },
      ],
      "IN.44",
      "Asha Rao",
    ],
    [{}, [other, contact], "+919876543210", "Asha Rao"],
    [{ from_user_id: "IN.44" }, [contact], "+919876543210", "Asha Rao"],
    [{ from: undefined }, undefined, "", null],
    [{ from: 919876543210 }, [], "", null],
    [{ from: "a\0b", from_user_id: "\ud800" }, [], "", null],
    [{}, [{ wa_id: "919876543210" }], "+919876543210", null],
    [
      {},
      [null, 1, { ...contact, profile: { name: "A\0\ud800é" } }],
      "+919876543210",
      "A\ufffd\ufffdé",
    ],
    [{}, [{ ...contact, profile: { name: 1 } }], "+919876543210", null],
  ];
  for (const [fields, contacts, from, name] of senders) {
    const message = messageWith(fields, { contacts });
    const hint = JSON.stringify([fields, contacts]);
    assert.equal(message.from, from, hint);
    assert.equal(message.contact_name, name, hint);
  }
});

Deno.test("whatsapp.parse() gives each message no more than 512 characters of what they share", () => {
  const long = "1".repeat(513);
  const value = valueOf({ from: undefined }, {
    metadata: { display_phone_number: long },
    contacts: [{ profile: { name: `${"n".repeat(511)}😀` }, wa_id: long }],
  });
  const { from, to, contact_name } = onlyMessage(bodyOf(value));
  assert.deepEqual([from, to], ["", ""]);
  assert.equal(contact_name, `${"n".repeat(511)}\ufffd`);
});

Deno.test("whatsapp.parse() gives what a person would read as the text", () => {
  const long = "😀".repeat(5000);
  const texts: [type: unknown, content: unknown, text: string | null][] = [
    ["text", { body: "Hi" }, "Hi"],
    ["text", { body: long }, long],
    ["text", { body: "a\0b\ud800" }, "a\ufffdb\ufffd"],
    ["text", { body: 1 }, null],
    ["text", { caption: "Hi" }, null],
    ["text", "Hi", null],
    ["text", null, null],
    ["text", undefined, null],
    ["image", { caption: "Look" }, "Look"],
    ["video", { caption: "Look" }, "Look"],
    ["document", { caption: "Read", filename: "a.pdf" }, "Read"],
    ["sticker", { id: "1" }, null],
    ["audio", { id: "1" }, null],
    ["button", { text: "Stop", payload: "STOP" }, "Stop"],
    ["interactive", { button_reply: { title: "Yes", id: "y" } }, "Yes"],
    ["interactive", { list_reply: { title: "Tue", id: "t" } }, "Tue"],
    ["interactive", { nfm_reply: { body: "Sent" } }, null],
    ["reaction", { emoji: "👍", message_id: "m" }, "👍"],
    ["reaction", { message_id: "m" }, null],
    ["location", { name: "Park", address: "Road 1" }, "Park, Road 1"],
    ["location", { name: "Park" }, "Park"],
    ["location", { address: "Road 1" }, "Road 1"],
    ["location", { name: "", address: "Road 1" }, "Road 1"],
    ["location", { name: 1, latitude: 1, longitude: 2 }, null],
    ["contacts", [{ name: { formatted_name: "R" } }], null],
    ["order", { text: "?" }, null],
    ["hologram", { caption: "New" }, "New"],
  ];
  for (const [type, content, text] of texts) {
    const message = messageWith({
      text: undefined,
      type,
      [`${type}`]: content,
    });
    assert.equal(message.text, text, JSON.stringify([type, content]));
    assert.equal(message.type, type);
  }
});

Deno.test("whatsapp.parse() gives the type unknown when there is none that is fit for one", () => {
  const types = [
    undefined,
    null,
    1,
    "",
    [],
    {},
    "a\0",
    "\ud800",
    "x".repeat(129),
  ];
  for (const type of types) {
    const message = messageWith({ type });
    assert.equal(message.type, "unknown", JSON.stringify(type));
    assert.equal(message.text, null);
  }
  assert.equal(messageWith({ type: "x".repeat(128) }).type, "x".repeat(128));
  assert.equal(messageWith({ type: "__proto__" }).type, "__proto__");
  assert.equal(messageWith({ type: "constructor" }).text, null);
});

Deno.test("whatsapp.parse() gives ts from Unix seconds, or the time of delivery when there are none", () => {
  const instants: [timestamp: unknown, ts: string][] = [
    ["1736935200", "2025-01-15T10:00:00Z"],
    [1736935200, "2025-01-15T10:00:00Z"],
    ["0", "1970-01-01T00:00:00Z"],
    ["253402300799", "9999-12-31T23:59:59Z"],
    [253402300799, "9999-12-31T23:59:59Z"],
  ];
  for (const [timestamp, ts] of instants) {
    assert.equal(messageWith({ timestamp }).ts, ts, `${timestamp}`);
    const value = { statuses: [{ ...status, timestamp }] };
    assert.equal(onlyEvent(bodyOf(value)).ts, ts);
  }
  const garbage = [
    undefined,
    null,
    "",
    "now",
    "-1",
    -1,
    1.5,
    "1.5",
    "1e9",
    " 1736935200",
    "１７",
    true,
    [1736935200],
    {},
    253402300800,
    "253402300800",
    "9".repeat(400),
    1e300,
  ];
  for (const timestamp of garbage) {
    assertNow(messageWith({ timestamp }).ts);
    const value = { statuses: [{ ...status, timestamp }] };
    const event = onlyEvent(bodyOf(value));
    assertNow(event.ts);
    assert.equal(event.kind, "status");
    assert.equal(event.message_id, null);
  }
  assertNow(
    onlyMessage(
      JSON.stringify(bodyOf(valueOf())).replace('"1736935200"', "1e400"),
    ).ts,
  );
});

Deno.test("whatsapp.parse() takes an event's ts from itself or its entry", () => {
  const instants: [value: unknown, time: unknown, ts: string][] = [
    [{ timestamp: 1736935200 }, 1, "2025-01-15T10:00:00Z"],
    [{ event: "x" }, 1736935201, "2025-01-15T10:00:01Z"],
    [{ timestamp: "now" }, "1736935202", "2025-01-15T10:00:02Z"],
    ["x", 1736935203, "2025-01-15T10:00:03Z"],
  ];
  for (const [value, time, ts] of instants) {
    assert.equal(onlyEvent(bodyOf(value, {}, { time })).ts, ts);
  }
  for (const time of [undefined, null, "x", {}, -1]) {
    assertNow(onlyEvent(bodyOf({ event: "x" }, {}, { time })).ts);
  }
});

Deno.test("whatsapp.parse() makes an event of a message when its id can't be one", () => {
  const ids = [
    undefined,
    null,
    1,
    "",
    {},
    "a\0b",
    "\ud800",
    "x".repeat(513),
    "😀".repeat(513),
  ];
  for (const list of ["messages", "message_echoes"]) {
    for (const id of ids) {
      const sent = { ...element, id };
      const event = onlyEvent(bodyOf({ [list]: [sent] }));
      assert.equal(event.kind, list);
      assert.equal(event.message_id, null);
      assert.equal(event.ts, "2025-01-15T10:00:00Z");
      assert.equal(event.payload, JSON.stringify(sent));
    }
    for (const id of ["x".repeat(512), "😀".repeat(512), " a/b+c= \n"]) {
      const value = { [list]: [{ ...element, id }] };
      assert.equal(onlyMessage(bodyOf(value)).message_id, id);
    }
    for (const sent of [null, 1, "wamid.1", [], ["wamid.1"], true]) {
      const { payload } = onlyEvent(bodyOf({ [list]: [sent] }));
      assert.equal(payload, JSON.stringify(sent));
    }
  }
  for (const id of ids) {
    const event = onlyEvent(bodyOf({ statuses: [{ ...status, id }] }));
    assert.equal(event.kind, "status");
    assert.equal(event.message_id, null);
  }
});

Deno.test("whatsapp.parse() gives payloads character by character as they were sent", () => {
  const message = `{ "id":"wamid.1", "n" : [1.0, 12345678901234567890,1e400],
    "n":"\\u00e9\\/\\ud800\\u0000 é", "__proto__":{"id":2} }`;
  const sentStatus =
    `{"timestamp":"1736935210",\t"id":"m","status":"read","x":-0.0}`;
  const error = `{ "code" : 9007199254740993 }`;
  const { messages, events } = parse(
    `{"entry":[ {"changes":[ {"value":{ "messages":[ ${message} ],` +
      `"statuses":[${sentStatus} ],"errors":[ ${error} ,"x"]}} ]} ]}`,
  );
  assert.deepEqual(messages.map(({ payload }) => payload), [message]);
  assert.deepEqual(
    events.map(({ payload }) => payload),
    [sentStatus, error, '"x"'],
  );
});

Deno.test("whatsapp.parse() gives a status one event_id per message, status and timestamp", () => {
  const id = (fields: Fields, change: Fields = {}, entry: Fields = {}) =>
    idOf(bodyOf({ statuses: [{ ...status, ...fields }] }, change, entry));
  const first = id({});
  const same = [
    id({ recipient_id: "1", pricing: { billable: true } }),
    id({ timestamp: 1736935210 }),
    id({}, { field: "other" }, { id: "311", time: 5 }),
  ];
  assert.deepEqual(new Set(same), new Set([first]));
  const others = [
    id({ id: "wamid.OTHER" }),
    id({ status: "delivered" }),
    id({ timestamp: "1736935211" }),
    id({ status: "re", timestamp: "ad1736935210" }),
    id({ status: undefined }),
  ];
  assert.equal(new Set([first, ...others]).size, 6);
});

Deno.test("whatsapp.parse() gives another event one event_id however it is written, and per place", () => {
  const value = { event: "x", n: [1, { a: 1, b: 2 }] };
  const entry = { time: 1736935200 };
  const first = idOf(bodyOf(value, { field: "f" }, entry));
  const written = JSON.stringify(bodyOf(value, { field: "f" }, entry));
  const same = [
    JSON.stringify(JSON.parse(written), null, 3),
    written.replace('{"a":1,"b":2}', '{ "b":2, "\\u0061":1 }'),
    written.replace('"id":"310"', '"id" :\n"310" '),
    written.replace('"id":"310"', '"id":"\\u003310"'),
    written.replace('"x"', '"\\u0078"'),
  ];
  for (const json of same) assert.equal(idOf(json), first, json);
  const others = [
    written.replace('"310"', '"311"'),
    written.replace('"id":"310",', ""),
    written.replace("1736935200", "1736935201"),
    written.replace('"f"', '"g"'),
    written.replace('"x"', '"X"'),
    written.replace("[1,", "[1.0,"),
    written.replace("[1,", "[9007199254740992,"),
    written.replace("[1,", "[9007199254740993,"),
  ];
  const ids = new Set([first, ...others.map(idOf)]);
  assert.equal(ids.size, 1 + others.length);
});

Deno.test("whatsapp.parse() makes one event of each thing it doesn't know", () => {
  const cases: [body: unknown, events: [kind: string, payload: unknown][]][] = [
    [bodyOf(valueOf({}, { messages: undefined, errors: [{ code: 1 }, 2] })), [
      ["errors", { code: 1 }],
      ["errors", 2],
    ]],
    [bodyOf(valueOf({}, { messages: { a: 1 }, statuses: null, future: "x" })), [
      ["messages", { a: 1 }],
      ["statuses", null],
      ["future", "x"],
    ]],
    [bodyOf({ metadata: {}, calls: [{ id: "c1" }, { id: "c2" }] }), [
      ["calls", { id: "c1" }],
      ["calls", { id: "c2" }],
    ]],
    [bodyOf({ calls: [{ id: "c1" }] }, { field: "calls" }), [
      ["calls", { calls: [{ id: "c1" }] }],
    ]],
    [bodyOf({ messages: [] }), [["messages", { messages: [] }]]],
    [bodyOf({}, { field: "f" }), [["f", {}]]],
    [bodyOf([], { field: "f" }), [["f", []]]],
    [bodyOf(null, { field: "f" }), [["f", null]]],
    [bodyOf("x", { field: 1 }), [["unknown", "x"]]],
    [bodyOf("x", { field: "a\0" }), [["unknown", "x"]]],
    [bodyOf(undefined, { field: "f" }), [["f", { field: "f" }]]],
    [bodyOf("x", { field: "f", extra: 1 }), [["extra", 1], ["f", "x"]]],
    [bodyOf("x", { field: "f" }, { extra: [1, 2] }), [
      ["f", "x"],
      ["extra", 1],
      ["extra", 2],
    ]],
    [{ ...bodyOf("x", { field: "f" }), extra: { a: [] } }, [
      ["f", "x"],
      ["extra", { a: [] }],
    ]],
    [{ entry: [{ changes: [null, 1] }, 2, []] }, [
      ["unknown", null],
      ["unknown", 1],
      ["unknown", 2],
      ["unknown", []],
    ]],
    [{ entry: [{ id: "1", changes: [] }, { id: "2", changes: {} }, {}] }, [
      ["unknown", { id: "1", changes: [] }],
      ["unknown", { id: "2", changes: {} }],
      ["unknown", {}],
    ]],
    ...[{ object: "page", entry: [] }, { entry: {} }, {}, [], [{ entry: [] }]]
      .map((body): [unknown, [string, unknown][]] => [body, [
        ["unknown", body],
      ]]),
  ];
  for (const [body, expected] of cases) {
    const { messages, events } = parse(body);
    assert.deepEqual(messages, []);
    assert.deepEqual(
      events.map(({ kind, payload }) => [kind, JSON.parse(payload)]),
      expected,
      JSON.stringify(body),
    );
    assert.equal(
      new Set(events.map((event) => event.event_id)).size,
      events.length,
    );
  }
  for (const json of ["null", "1", '"x"', "true", " [1] \n", "{ }"]) {
    assert.equal(onlyEvent(json).payload, json);
  }
});

Deno.test("whatsapp.parse() says json_invalid when the body is no JSON or no UTF-8", () => {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const bodies: [bytes: Uint8Array, what: string][] = [
    [utf8(""), "JSON"],
    [utf8(fixtures.text.slice(0, -3)), "JSON"],
    [utf8(`\ufeff${fixtures.text}`), "JSON"],
    [new Uint8Array([0x22, 0xff, 0x22]), "UTF-8"],
  ];
  for (const [bytes, what] of bodies) {
    assert.deepEqual(whatsapp.parse(bytes), {
      ok: false,
      errors: [{
        type: "json_invalid",
        loc: ["body"],
        msg: `Body should be valid ${what}`,
      }],
    });
  }
});

Deno.test("whatsapp.parse() returns when JSON is nested 100,000 deep, wherever that is", () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  const bodies = [
    deep,
    `{"entry":${deep}}`,
    ...["text", "contacts", "field", "id", "extra"].map((key) =>
      JSON.stringify(
        bodyOf(valueOf({ [key]: "?" }, { [key]: "?" }), { [key]: "?" }, {
          [key]: "?",
        }),
      ).replaceAll('"?"', deep)
    ),
  ];
  for (const body of bodies) {
    const { messages, events } = parse(body);
    assert(messages.length + events.length > 0);
  }
});

Deno.test("whatsapp.verifier() checks X-Hub-Signature-256 when WHATSAPP_APP_SECRET is set", async () => {
  const bytes = new TextEncoder().encode(fixtures.text);
  const hex = (key: string) =>
    createHmac("sha256", key).update(bytes).digest("hex");
  assert.equal(await whatsapp.verifier({ WEBHOOK_SECRET: "x" }), undefined);
  const verify = await whatsapp.verifier({
    WHATSAPP_APP_SECRET: "new",
    WHATSAPP_APP_SECRET_PREVIOUS: "old",
    WEBHOOK_SECRET: "other",
  });
  assert(verify !== undefined);
  const refused = (reason: string) => ({ ok: false, reason });
  const verdicts: [headers: HeadersInit, verdict: object][] = [
    [{ "x-hub-signature-256": `sha256=${hex("new")}` }, {
      ok: true,
      withPrevious: false,
    }],
    [{ "x-hub-signature-256": `sha256=${hex("new").toUpperCase()}` }, {
      ok: true,
      withPrevious: false,
    }],
    [{ "x-hub-signature-256": `sha256=${hex("old")}` }, {
      ok: true,
      withPrevious: true,
    }],
    [{ "x-hub-signature-256": `sha256=${hex("other")}` }, refused("mismatch")],
    [{ "x-hub-signature-256": hex("new") }, refused("malformed")],
    [{ "x-hub-signature-256": "" }, refused("malformed")],
    [{ "x-hub-signature-256": `sha256=${hex("new")}0` }, refused("malformed")],
    [{ "x-hub-signature-256": `sha1=${hex("new")}` }, refused("malformed")],
    [{ "x-hub-signature-256": `sha512=${hex("new")}` }, refused("malformed")],
    [
      { "x-hub-signature-256": `sha256=sha256=${hex("new")}` },
      refused("malformed"),
    ],
    [{ "x-hub-signature": `sha256=${hex("new")}` }, refused("missing")],
    [{ "x-signature": hex("new") }, refused("missing")],
    [{}, refused("missing")],
  ];
  for (const [headers, verdict] of verdicts) {
    const request = new Request("http://localhost/", { headers });
    assert.deepEqual(await verify(request, bytes), verdict);
  }
});

Deno.test("whatsapp.handshake() gives the challenge when mode and token are right", () => {
  const ask = (query: string, WHATSAPP_VERIFY_TOKEN?: string) =>
    whatsapp.handshake!(new URLSearchParams(query), { WHATSAPP_VERIFY_TOKEN });
  const right = "hub.mode=subscribe&hub.verify_token=t%C3%B6k+1&hub.challenge=";
  const answers: [query: string, answer: string | null][] = [
    [`${right}115820`, "115820"],
    [`${right}%3Cb%3E`, "<b>"],
    [right, ""],
    ["hub.mode=subscribe&hub.verify_token=t%C3%B6k+1", ""],
    ["hub.mode=subscribe&hub.verify_token=tok&hub.challenge=1", null],
    ["hub.mode=subscribe&hub.verify_token=&hub.challenge=1", null],
    ["hub.mode=subscribe&hub.challenge=1", null],
    [`${right.replace("subscribe", "unsubscribe")}1`, null],
    [`${right.replace("hub.mode=subscribe&", "")}1`, null],
    ["", null],
  ];
  for (const [query, answer] of answers) {
    assert.equal(ask(query, "tök 1"), answer, query);
  }
  assert.equal(ask(`${right}1`), undefined);
  assert.equal(ask("hub.mode=subscribe&hub.verify_token="), undefined);
});

/** Places that say where a delivery comes from, and are not stored as such. */
const envelope = [
  /^\.object\b/,
  /^\.entry\.\d+\.(id|time)\b/,
  /^\.entry\.\d+\.changes\.\d+\.field\b/,
  /^\.entry\.\d+\.changes\.\d+\.value\.(messaging_product|metadata|contacts)\b/,
];

const lists = ["messages", "message_echoes", "statuses"];

/** All objects and arrays of a JSON value with their paths, the value first. */
function* nodesOf(
  value: unknown,
  path = "",
): Generator<[node: Fields, path: string]> {
  if (typeof value !== "object" || value === null) return;
  yield [value as Fields, path];
  for (const [key, member] of Object.entries(value)) {
    yield* nodesOf(member, `${path}.${key}`);
  }
}

const replacement = fc.oneof(
  fc.jsonValue({ maxDepth: 2, stringUnit: "binary" }),
  fc.constantFrom(
    null,
    "",
    0,
    -1,
    1e300,
    true,
    [],
    {},
    "a\0b",
    "\ud800",
    "x".repeat(600),
    "wamid.OUT1==",
    [null, 1, "x", [], {}],
  ),
);

const mutation = fc.record({
  what: fc.constantFrom(
    "remove",
    "retype",
    "add",
    "empty",
    "repeat",
    "rename",
  ),
  place: fc.nat(),
  value: replacement,
  name: fc.constantFrom(
    ...lists,
    "id",
    "contacts",
    "new",
    "__proto__",
    "\ud800",
  ),
});

/** Changes something in a body, in place. */
function mutate(
  body: unknown,
  { what, place, value, name }: typeof mutation extends fc.Arbitrary<infer M>
    ? M
    : never,
  index: number,
): void {
  const members = Array.from(nodesOf(body)).flatMap(([node]) =>
    Object.keys(node).map((key): [Fields, string] => [node, key])
  );
  if (members.length === 0) return;
  const [node, key] = members[place % members.length];
  const set = (at: string, to: unknown) => {
    if (Array.isArray(node)) node.push(to);
    else {
      Object.defineProperty(node, at, {
        value: to,
        configurable: true,
        enumerable: true,
        writable: true,
      });
    }
  };
  const remove = () => {
    if (Array.isArray(node)) node.splice(Number(key), 1);
    else delete node[key];
  };
  switch (what) {
    case "remove":
      return remove();
    case "retype":
      node[key] = structuredClone(value);
      return;
    case "add":
      return set(`${name}${index}`, { marker: `marker ${index}` });
    case "empty":
      node[key] = Array.isArray(node[key]) ? [] : {};
      return;
    case "repeat":
      return set(`${key}${index}`, structuredClone(node[key]));
    case "rename": {
      const moved = node[key];
      remove();
      return set(name, moved);
    }
  }
}

const mutatedBody = fc.record({
  json: fc.constantFrom(...Object.values(fixtures)),
  mutations: fc.array(mutation, { minLength: 1, maxLength: 8 }),
}).map(({ json, mutations }) => {
  const body: unknown = JSON.parse(json);
  mutations.forEach((each, index) => mutate(body, each, index));
  return body;
});

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The member of a JSON value, if it has it. */
function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null &&
      Object.hasOwn(value, key)
    ? (value as Fields)[key]
    : undefined;
}

/** What must be stored each by itself: the elements of the known lists. */
function elementsOf(body: unknown): unknown[] {
  return asList(member(body, "entry"))
    .flatMap((entry) => asList(member(entry, "changes")))
    .map((change) => member(change, "value"))
    .flatMap((value) => lists.flatMap((list) => asList(member(value, list))));
}

/** A value as text that is the same for equal values. */
function textOf(value: unknown): string {
  return JSON.stringify(
    value,
    (_, node) =>
      typeof node === "object" && node !== null && !Array.isArray(node)
        ? Object.entries(node).sort(([a], [b]) => a < b ? -1 : 1)
        : node,
  );
}

Deno.test("whatsapp.parse() loses nothing when a body is mutated in any way", () => {
  fc.assert(
    fc.property(mutatedBody, fc.nat(3), (body, indent) => {
      const json = JSON.stringify(body, null, indent);
      const { messages, events } = parse(json);
      const payloads = [...messages, ...events].map(({ payload }) => payload!);
      for (const payload of payloads) assert(json.includes(payload));
      // Each element has a payload of its own.
      const texts = payloads.map((payload) => textOf(JSON.parse(payload)));
      for (const element of elementsOf(body)) {
        const index = texts.indexOf(textOf(element));
        assert(index >= 0, `${JSON.stringify(element)} is stored`);
        texts.splice(index, 1);
      }
      // Members that nobody knows are in some payload.
      const stored = payloads.join();
      for (const [{ marker }, path] of nodesOf(body)) {
        if (typeof marker !== "string" || !marker.startsWith("marker ")) {
          continue;
        }
        if (envelope.some((pattern) => pattern.test(path))) continue;
        assert(stored.includes(marker), `${path} is stored`);
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("whatsapp.parse() gives the same ids when the same body comes again", () => {
  const ids = (body: unknown, indent: number) => {
    const { messages, events } = parse(JSON.stringify(body, null, indent));
    return [
      ...messages.map(({ message_id }) => message_id),
      ...events.map(({ event_id }) => event_id),
    ];
  };
  fc.assert(
    fc.property(mutatedBody, (body) => {
      assert.deepEqual(ids(body, 2), ids(body, 0));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("whatsapp.parse() gives what a store takes and gives back when a body is mutated", () => {
  fc.assert(
    fc.property(mutatedBody, (body) => {
      const delivery = parse(body);
      const messages = new Map(
        delivery.messages.toReversed().map((each) => [each.message_id, each]),
      );
      const events = new Map(
        delivery.events.toReversed().map((each) => [each.event_id, each]),
      );
      using db = new DatabaseSync(":memory:");
      migrate(db);
      const writer = new Writer(db);
      assert.deepEqual(writer.insert([delivery, delivery]), [
        { newMessages: messages.size, newEvents: events.size },
        { newMessages: 0, newEvents: 0 },
      ]);
      const reader = new Reader(db);
      for (const [id, message] of messages) {
        const { received_at: _, ...found } = reader.getMessage(id)!.message;
        assert.deepEqual(found, message);
      }
      const page = reader.listEvents({}, 1000, 0);
      assert.equal(page.total, events.size);
      for (const { received_at: _, ...found } of page.data) {
        assert.deepEqual(found, events.get(found.event_id));
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("whatsapp.parse() keeps a body of more than 20,000 elements as one event, wherever they are", () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
  const bodies: ((count: number) => unknown)[] = [
    (count) => ({ entry: numbers(count) }),
    (count) => ({ entry: [{ id: "1", changes: numbers(count) }] }),
    (count) => bodyOf({ messages: numbers(count) }),
    (count) => bodyOf({ statuses: numbers(count) }),
    (count) => bodyOf({ messages: [], unheard_of: numbers(count) }),
  ];
  for (const body of bodies) {
    assert.equal(parse(body(20_000)).events.length, 20_000);
    const tooMany = JSON.stringify(body(20_001));
    assert.equal(onlyEvent(tooMany).payload, tooMany);
  }
});
