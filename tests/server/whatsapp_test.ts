import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import {
  message,
  signatureOf,
  TestServer,
  verifyToken,
  whatsappBody,
  whatsappSecret,
} from "../harness.ts";
import { version1 } from "../store/sqlite/version1.ts";

const fixtures = new URL("../fixtures/meta/", import.meta.url);

function fixture(name: string): string {
  return Deno.readTextFileSync(new URL(`${name}.json`, fixtures));
}

const fixtureNames = Array.from(
  Deno.readDirSync(fixtures),
  ({ name }) => name.replace(/\.json$/, ""),
).sort();

interface Listed {
  data: Record<string, unknown>[];
  total: number;
}

function textMessage(id: string, body = "Hello", from = "919876543210") {
  return { from, id, timestamp: "1736935200", type: "text", text: { body } };
}

/** `text` and `from` are what differs; the rest is the same in all fixtures. */
const expectedMessages: Record<
  string,
  { type: string; text: string | null; from?: string; to?: string }
> = {
  audio_voice: { type: "audio", text: null },
  business_echo: {
    type: "text",
    text: "Sent from the phone app",
    from: "+14155550100",
    to: "+919876543210",
  },
  button_reply: { type: "interactive", text: "Confirm" },
  contacts: { type: "contacts", text: null },
  document_no_caption: { type: "document", text: null },
  image_caption: { type: "image", text: "The broken part" },
  list_reply: { type: "interactive", text: "Tuesday 10:00" },
  location: { type: "location", text: "Cubbon Park, Bengaluru" },
  reaction: { type: "reaction", text: "👍" },
  reaction_removed: { type: "reaction", text: null },
  revoke: { type: "revoke", text: null },
  system_number_changed: { type: "system", text: null },
  template_button: { type: "button", text: "Stop promotions" },
  text: { type: "text", text: "Is the blue one in stock? 😀 Grüße" },
  text_reply: { type: "text", text: "Yes, that one" },
  unsupported: { type: "unsupported", text: null },
  username_without_number: {
    type: "text",
    text: "Writing with my username",
    from: "IN.4410092817264523",
  },
};

const expectedEvents: Record<string, string> = {
  account_update: "account_update",
  status_delivered: "status",
  status_failed: "status",
  status_sent: "status",
  template_status: "message_template_status_update",
};

for (const name of fixtureNames) {
  if (name === "batch_with_a_repeat") continue;
  Deno.test(`POST /webhook/whatsapp stores ${name} and gives it back`, async () => {
    await using server = await TestServer.start();
    const body = fixture(name);
    for (let delivery = 0; delivery < 2; delivery++) {
      const response = await server.postWhatsapp(body);
      assert.equal(await response.text(), '{"status":"ok"}');
      assert.equal(response.status, 200);
    }
    const { field, value } = JSON.parse(body).entry[0].changes[0];
    const messages = await server.get<Listed>("/messages");
    const events = await server.get<Listed>("/events");
    const expected = expectedMessages[name];
    if (expected === undefined) {
      const element = value.statuses?.[0];
      const kind = expectedEvents[name];
      assert.equal(messages.total, 0);
      assert.equal(events.total, 1);
      const event = events.data[0];
      assert.equal(event.kind, kind);
      assert.equal(kind, element === undefined ? field : "status");
      assert.deepEqual(event.payload, element ?? value);
      assert.equal(event.message_id, element?.id ?? null);
      if (element !== undefined) {
        assert.equal(
          Date.parse(event.ts as string),
          Number(element.timestamp) * 1000,
        );
      }
      return;
    }
    const [element] = value.messages ?? value.message_echoes;
    const { type, ...rest } = expected;
    const listed = {
      message_id: element.id,
      from: "+919876543210",
      to: "+14155550100",
      ts: new Date(Number(element.timestamp) * 1000).toISOString()
        .replace(".000Z", "Z"),
      ...rest,
    };
    assert.deepEqual(messages.data, [listed]);
    assert.equal(events.total, 0);
    const { received_at, ...details } = await server.get(
      `/messages/${encodeURIComponent(element.id)}`,
    );
    assert.match(received_at as string, /^20\d\d-.*T.*Z$/);
    assert.deepEqual(details, {
      ...listed,
      type,
      contact_name: value.contacts?.[0].profile.name ?? null,
      payload: element,
      statuses: [],
    });
  });
}

Deno.test("POST /webhook/whatsapp stores three messages and one event of a batch with a repeat", async () => {
  await using server = await TestServer.start();
  const body = fixture("batch_with_a_repeat");
  assert.equal((await server.postWhatsapp(body)).status, 200);
  const { data } = await server.get<Listed>("/messages");
  assert.deepEqual(
    data.map(({ text }) => text).slice(0, 2),
    ["first", "second"],
  );
  assert.equal(data.length, 3);
  assert.equal((await server.get<Listed>("/events")).total, 1);
  assert.equal((await server.get("/stats")).total_messages, 3);
  const line = await server.logged(({ path }) => path === "/webhook/whatsapp");
  assert.deepEqual([line.provider, line.result, line.new, line.repeats], [
    "whatsapp",
    "created",
    4,
    1,
  ]);
  assert.equal((await server.postWhatsapp(body)).status, 200);
  const rows = (kind: string, result: string) =>
    server.metric(
      `webhook_rows_total{provider="whatsapp",kind="${kind}",result="${result}"}`,
    );
  assert.equal(await rows("message", "created"), 3);
  assert.equal(await rows("message", "duplicate"), 5);
  assert.equal(await rows("event", "created"), 1);
  assert.equal(await rows("event", "duplicate"), 1);
  for (const result of ["created", "duplicate"]) {
    for (
      const series of [
        `webhook_requests_total{result="${result}"}`,
        `webhook_provider_requests_total{provider="whatsapp",result="${result}"}`,
      ]
    ) assert.equal(await server.metric(series), 1, series);
  }
});

Deno.test("POST /webhook/whatsapp stores every fixture once when each comes fifty times at once", async () => {
  await using server = await TestServer.start();
  const bodies = fixtureNames.map(fixture);
  const responses = await Promise.all(
    Array.from({ length: 50 }, () => bodies).flat()
      .map((body) => server.postWhatsapp(body)),
  );
  for (const response of responses) {
    assert.equal(response.status, 200);
    await response.body?.cancel();
  }
  assert.equal(
    (await server.get<Listed>("/messages")).total,
    Object.keys(expectedMessages).length + 3,
  );
  assert.equal(
    (await server.get<Listed>("/events")).total,
    Object.keys(expectedEvents).length + 1,
  );
});

Deno.test("POST /webhook/whatsapp adds the new message of a batch whose other one is known", async () => {
  await using server = await TestServer.start();
  assert.equal(
    (await server.postWhatsapp(
      whatsappBody({ messages: [textMessage("a", "as it was")] }),
    )).status,
    200,
  );
  const both = whatsappBody({
    messages: [textMessage("a", "changed"), textMessage("b")],
  });
  assert.equal((await server.postWhatsapp(both)).status, 200);
  const { data } = await server.get<Listed>("/messages");
  assert.deepEqual(
    data.map(({ message_id, text }) => [message_id, text]),
    [["a", "as it was"], ["b", "Hello"]],
  );
  const lines = await server.loggedTimes(
    2,
    ({ path }) => path === "/webhook/whatsapp",
  );
  assert.deepEqual([lines[1].new, lines[1].repeats], [1, 1]);
});

Deno.test("the log names a delivery's message if it holds just one, whatever else it holds", async () => {
  await using server = await TestServer.start();
  const statuses = [{ id: "z", status: "sent", timestamp: "1736935200" }];
  const values = [
    { messages: [textMessage("a")], statuses },
    { messages: [textMessage("b"), textMessage("c")] },
    { statuses },
  ];
  for (const value of values) {
    const { status } = await server.postWhatsapp(whatsappBody(value));
    assert.equal(status, 200);
  }
  const lines = await server.loggedTimes(
    values.length,
    ({ path }) => path === "/webhook/whatsapp",
  );
  assert.deepEqual(
    lines.map(({ message_id }) => message_id),
    ["a", undefined, undefined],
  );
});

Deno.test("POST /webhook/whatsapp takes 1,000 messages in 3 MB, and no byte more", async () => {
  await using server = await TestServer.start();
  const maxBytes = 3 << 20;
  const messages = Array.from(
    { length: 1000 },
    (_, n) => textMessage(`m${n}`, "x".repeat(3000)),
  );
  const body = whatsappBody({ messages });
  const largest = body + " ".repeat(maxBytes - body.length);
  assert(body.length > maxBytes * 0.95);
  assert.equal((await server.postWhatsapp(largest)).status, 200);
  assert.equal((await server.get<Listed>("/messages")).total, 1000);
  const tooLarge = await server.postWhatsapp(`${largest} `);
  assert.equal(tooLarge.status, 413);
});

Deno.test("POST /webhook/whatsapp verifies X-Hub-Signature-256 over the raw bytes", async () => {
  await using server = await TestServer.start();
  const body = fixture("text");
  const right = signatureOf(body, whatsappSecret);
  for (
    const signature of [
      right,
      `sha1=${right}`,
      `sha256=${signatureOf(body)}`,
      `sha256=${signatureOf(JSON.stringify(JSON.parse(body)), whatsappSecret)}`,
      `sha256=${right} `.repeat(2),
      "sha256=",
      "",
    ]
  ) {
    const response = await server.postWhatsapp(body, signature);
    assert.equal(response.status, 401, signature);
    assert.deepEqual(await response.json(), { detail: "invalid signature" });
  }
  const response = await server.fetch("/webhook/whatsapp", {
    method: "POST",
    body,
    headers: { "x-signature": signatureOf(body) },
  });
  assert.equal(response.status, 401);
  await response.body?.cancel();
  const upperCase = `sha256=${right.toUpperCase()}`;
  assert.equal((await server.postWhatsapp(body, upperCase)).status, 200);
});

Deno.test("POST /webhook/whatsapp refuses only what is no JSON", async () => {
  await using server = await TestServer.start();
  const bytes = (text: string) => new TextEncoder().encode(text);
  const notJson = [
    bytes(""),
    bytes("hello"),
    bytes("{} {}"),
    bytes("[".repeat(100_000)),
    Uint8Array.from([0x22, 0xff, 0x22]),
  ];
  for (const body of notJson) {
    const response = await server.postWhatsapp(body);
    assert.equal(response.status, 422);
    const { detail } = await response.json();
    assert.deepEqual(detail[0].loc, ["body"]);
    assert.equal(detail[0].type, "json_invalid");
  }
  assert.equal((await server.get<Listed>("/events")).total, 0);
  const unknown = [
    "null",
    "1e400",
    '"\\ud800"',
    "[]",
    "{}",
    '{"entry":[]}',
    '{"entry":[{"changes":[]}]}',
    '{"object":"page","entry":[{"id":"1","messaging":[{"text":"\\u0000"}]}]}',
    "[".repeat(200_000) + "]".repeat(200_000),
    `{"entry":[{"changes":[{"field":"messages","value":${
      '{"a":'.repeat(2000)
    }1${"}".repeat(2000)}}]}]}`,
  ];
  for (const body of unknown) {
    assert.equal((await server.postWhatsapp(body)).status, 200, body);
  }
  const { total, data } = await server.get<Listed>("/events?limit=100");
  assert.equal(total, unknown.length);
  assert.equal(data.filter(({ kind }) => kind === "unknown").length, 9);
});

Deno.test("GET /webhook/whatsapp gives the challenge to whoever knows the token", async () => {
  await using server = await TestServer.start();
  const handshake = (parameters: Record<string, string>) =>
    server.fetch(`/webhook/whatsapp?${new URLSearchParams(parameters)}`);
  const right = {
    "hub.mode": "subscribe",
    "hub.verify_token": verifyToken,
    "hub.challenge": "1158201444",
  };
  const response = await handshake(right);
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type")!, /^text\/plain/);
  assert.equal(await response.text(), "1158201444");
  for (
    const wrong of [
      { ...right, "hub.verify_token": `${verifyToken}x` },
      { ...right, "hub.verify_token": "" },
      { ...right, "hub.mode": "unsubscribe" },
      { "hub.challenge": "1" },
    ]
  ) {
    const response = await handshake(wrong);
    assert.equal(response.status, 403);
    assert.deepEqual(await response.json(), { detail: "Forbidden" });
  }
});

Deno.test("/webhook/whatsapp is not there without its variables", async () => {
  await using server = await TestServer.start({
    env: { WHATSAPP_APP_SECRET: undefined, WHATSAPP_VERIFY_TOKEN: undefined },
  });
  const posted = await server.postWhatsapp(fixture("text"));
  const got = await server.fetch(
    "/webhook/whatsapp?hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
  );
  for (const response of [posted, got]) {
    assert.equal(response.status, 404);
    assert.deepEqual(await response.json(), { detail: "Not Found" });
  }
  assert.deepEqual(await server.get("/health/ready"), { status: "ready" });
});

Deno.test("the secret before is accepted, and counted, while it is being changed", async () => {
  await using server = await TestServer.start({
    env: {
      WEBHOOK_SECRET_PREVIOUS: "old simple",
      WHATSAPP_APP_SECRET_PREVIOUS: "old whatsapp",
    },
  });
  const simpleBody = JSON.stringify(message());
  const body = fixture("text");
  const withPrevious = [
    await server.post(simpleBody, {
      "x-signature": signatureOf(simpleBody, "old simple"),
    }),
    await server.postWhatsapp(
      body,
      `sha256=${signatureOf(body, "old whatsapp")}`,
    ),
  ];
  const withCurrent = [
    await server.post(simpleBody),
    await server.postWhatsapp(body),
  ];
  for (const { status } of [...withPrevious, ...withCurrent]) {
    assert.equal(status, 200);
  }
  const older = await server.post(simpleBody, {
    "x-signature": signatureOf(simpleBody, "older still"),
  });
  assert.equal(older.status, 401);
  for (const provider of ["simple", "whatsapp"]) {
    assert.equal(
      await server.metric(
        `webhook_previous_secret_total{provider="${provider}"}`,
      ),
      1,
    );
  }
});

Deno.test("GET /messages/{message_id} finds any id, with its statuses in order", async () => {
  await using server = await TestServer.start();
  const ids = ["a/b", "wamid.HBg+/=", "100%", "é 😀", "?#&", "{message_id}"];
  for (const message_id of ids) {
    assert.equal(await server.deliver(message({ message_id })), 200);
    const path = `/messages/${encodeURIComponent(message_id)}`;
    assert.equal((await server.get(path)).message_id, message_id);
  }
  const statuses = [
    { id: "a/b", status: "read", timestamp: "1736935300" },
    { id: "a/b", status: "delivered", timestamp: "1736935200" },
    { id: "a/b", status: "sent", timestamp: "1736935200" },
  ];
  for (const status of [...statuses, ...statuses]) {
    const body = JSON.parse(fixture("status_sent"));
    body.entry[0].changes[0].value.statuses = [status];
    assert.equal((await server.postWhatsapp(JSON.stringify(body))).status, 200);
  }
  const text = await (await server.fetch("/messages/a%2Fb")).text();
  const { received_at, ...details } = JSON.parse(text);
  assert.equal(typeof received_at, "string");
  assert.deepEqual(details, {
    ...message({ message_id: "a/b" }),
    type: "text",
    contact_name: null,
    payload: null,
    statuses: statuses.toReversed(),
  });
  assert.deepEqual(Object.keys(JSON.parse(text)).slice(0, 5), [
    "message_id",
    "from",
    "to",
    "ts",
    "text",
  ]);
  assert.equal((await server.get("/messages/a/b")).message_id, "a/b");
  for (const path of ["/messages/", "/messages/nope", "/messages/%ff"]) {
    const response = await server.fetch(path);
    assert.equal(response.status, 404, path);
    assert.deepEqual(await response.json(), { detail: "Not Found" });
  }
  assert.equal(
    await server.metric(
      'http_requests_total{path="/messages/{message_id}",status="404"}',
    ),
    2,
  );
});

Deno.test("GET /events and /messages filter by kind and type", async () => {
  await using server = await TestServer.start();
  for (const name of fixtureNames) {
    assert.equal((await server.postWhatsapp(fixture(name))).status, 200);
  }
  const total = async (path: string) => (await server.get<Listed>(path)).total;
  assert.equal(await total("/messages?type=image"), 1);
  assert.equal(await total("/messages?type=interactive&q=CONFIRM"), 1);
  assert.equal(await total("/messages?type=nope"), 0);
  assert.equal(await total("/messages?type="), await total("/messages"));
  assert.equal(await total("/messages?from=IN.4410092817264523"), 1);
  assert.equal(await total("/events?kind=account_update"), 1);
  assert.equal(await total("/events?message_id=wamid.OUT1=="), 2);
  assert.equal(await total("/events?since=2100-01-01T00:00:00Z"), 0);
  const page = await server.get<Listed>("/events?kind=status&limit=1&offset=1");
  assert.deepEqual(Object.keys(page), ["data", "total", "limit", "offset"]);
  assert.equal(page.data.length, 1);
  const all = await server.get<Listed>("/events?kind=status");
  assert.deepEqual(all.data[1], page.data[0]);
  const instants = all.data.map(({ ts }) => ts as string);
  assert.deepEqual(instants, instants.toSorted());
  for (const query of ["limit=0", "offset=x", "since=now"]) {
    const response = await server.fetch(`/events?${query}`);
    assert.equal(response.status, 422, query);
    await response.body?.cancel();
  }
});

Deno.test("kill -9 in a storm of batches leaves no body half there", async () => {
  const dir = await Deno.makeTempDir();
  const perBody = 20;
  const acknowledged = new Set<string>();
  let body = 0;
  for (let round = 0; round < 5; round++) {
    const server = await TestServer.start({ dir });
    const clients = Array.from({ length: 16 }, async () => {
      for (;;) {
        const name = `${body++}`;
        const messages = Array.from(
          { length: perBody },
          (_, n) => textMessage(`${name}-${n}`),
        );
        try {
          const response = await server.postWhatsapp(
            whatsappBody({ messages }),
          );
          if (response.status === 200) acknowledged.add(name);
          await response.body?.cancel();
        } catch {
          return;
        }
      }
    });
    await server.loggedTimes(
      20 + 10 * round,
      ({ result }) => result === "created",
    );
    server.signal("SIGKILL");
    await Promise.all(clients);
    await server.ended();
  }
  const db = new DatabaseSync(`${dir}/app.db`);
  const counts = db.prepare(
    `SELECT substr(message_id, 1, instr(message_id, '-') - 1) AS body,
            count(*) AS count
       FROM messages GROUP BY 1`,
  ).all() as { body: string; count: number }[];
  db.close();
  await Deno.remove(dir, { recursive: true });
  assert.deepEqual(counts.filter(({ count }) => count !== perBody), []);
  const stored = new Set(counts.map(({ body }) => body));
  assert.deepEqual(Array.from(acknowledged.difference(stored)), []);
  assert(acknowledged.size >= 100);
});

/** A path of keys to every value inside a JSON value. */
function pathsOf(value: unknown): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [
    [key],
    ...pathsOf(child).map((path) => [key, ...path]),
  ]);
}

Deno.test("POST /webhook/whatsapp answers mutated deliveries with 200 and loses no element", async () => {
  await using server = await TestServer.start();
  const values = fixtureNames.map((name) => JSON.parse(fixture(name)));
  const mutation = fc.tuple(
    fc.nat(),
    fc.constantFrom("remove", "retype", "add", "empty"),
    fc.jsonValue({ maxDepth: 2 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...values),
      fc.array(mutation, { minLength: 1, maxLength: 4 }),
      async (original, mutations) => {
        const value = structuredClone(original);
        for (const [where, what, json] of mutations) {
          const paths = pathsOf(value);
          if (paths.length === 0) break;
          const path = paths[where % paths.length];
          const key = path[path.length - 1];
          const parent = path.slice(0, -1)
            .reduce((parent, key) => parent[key], value);
          if (what === "remove") delete parent[key];
          else if (what === "add") parent[`new_${where % 9}`] = json;
          else parent[key] = what === "empty" ? [] : json;
        }
        const response = await server.postWhatsapp(JSON.stringify(value));
        await response.body?.cancel();
        assert.equal(response.status, 200);
        // JSON.stringify() writes null where an element was removed.
        const sent = JSON.parse(JSON.stringify(value));
        for (const { list, element } of elementsIn(sent)) {
          await assertStored(server, list, element);
        }
      },
    ),
    { numRuns: 150 },
  );
  assert.equal(
    await server.metric(
      'webhook_provider_requests_total{provider="whatsapp",result="error"}',
    ),
    0,
  );
});

/** The elements of the lists of a delivery, as far as it still has its shape. */
function elementsIn(value: unknown): { list: string; element: unknown }[] {
  const array = (value: unknown): unknown[] =>
    Array.isArray(value) ? value : [];
  return array((value as { entry?: unknown } | null)?.entry).flatMap((entry) =>
    array((entry as { changes?: unknown } | null)?.changes).flatMap(
      (change) => {
        const value = (change as { value?: unknown } | null)?.value ?? {};
        return ["messages", "message_echoes", "statuses"].flatMap((list) =>
          array((value as Record<string, unknown>)[list]).map((element) => ({
            list,
            element,
          }))
        );
      },
    )
  );
}

/** Looks into the database, since a first delivery of an id stays as it was. */
function assertStored(server: TestServer, list: string, element: unknown) {
  const db = new DatabaseSync(server.databasePath, { readOnly: true });
  try {
    const json = JSON.stringify(element);
    const id = (element as { id?: unknown } | null)?.id;
    const asMessage = typeof id === "string" && list !== "statuses" &&
      db.prepare("SELECT 1 FROM messages WHERE message_id = ?").get(id);
    const asStatus = list === "statuses" && typeof id === "string" &&
      db.prepare("SELECT 1 FROM events WHERE message_id = ?").get(id);
    const asEvent = db.prepare(
      "SELECT 1 FROM events WHERE payload = ? OR instr(payload, ?) > 0",
    ).get(json, json);
    assert(asMessage || asStatus || asEvent, `${list}: ${json} is lost`);
  } finally {
    db.close();
  }
}

Deno.test("a database of the first schema is migrated with its messages", async () => {
  const dir = await Deno.makeTempDir();
  const db = new DatabaseSync(`${dir}/app.db`);
  db.exec(
    `PRAGMA journal_mode = WAL;
     ${version1}
     INSERT INTO messages
       (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, created_at)
     VALUES ('old', '+911', '+912', '2025-01-15T10:00:00Z', 1736935200000,
             'kept', '2025-01-15T10:00:01.000Z');`,
  );
  db.close();
  {
    await using server = await TestServer.start({ dir });
    assert.equal((await server.postWhatsapp(fixture("text"))).status, 200);
    assert.equal((await server.get<Listed>("/messages?type=text")).total, 2);
    assert.equal((await server.get<Listed>("/messages?from=+911")).total, 1);
    assert.equal((await server.get("/stats")).total_messages, 2);
    assert.deepEqual(await server.get("/messages/old"), {
      message_id: "old",
      from: "+911",
      to: "+912",
      ts: "2025-01-15T10:00:00Z",
      text: "kept",
      type: "text",
      contact_name: null,
      received_at: "2025-01-15T10:00:01.000Z",
      payload: null,
      statuses: [],
    });
  }
  await Deno.remove(dir, { recursive: true });
});
