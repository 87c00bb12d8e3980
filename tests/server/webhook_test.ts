import assert from "node:assert/strict";
import { message, signatureOf, TestServer } from "../harness.ts";

const maxBodyBytes = 1 << 20;

/** A message's JSON, with an ignored field that brings it to so many bytes. */
function bodyOfSize(bytes: number): string {
  const unpadded = JSON.stringify({ ...message(), padding: "" });
  const padding = "x".repeat(bytes - unpadded.length);
  return unpadded.replace('"padding":""', `"padding":"${padding}"`);
}

interface FieldErrors {
  detail: { type: string; loc: string[]; msg: string }[];
}

Deno.test("POST /webhook verifies the exact bytes when they are unusual", async () => {
  await using server = await TestServer.start();
  const { message_id: _, ...rest } = message();
  const fields = JSON.stringify(rest).slice(1);
  const bodies = [
    `{"message_id":"plain",${fields}`,
    ` {\n\t"message_id" : "whitespace",\r\n ${fields} `,
    `{"message_id":"trailing-newline",${fields}\n`,
    `{"message_id":"\\u0065scapes\\/",${fields}`,
    `{"message_id":"emoji-😀",${fields}`,
    `{"message_id":"surrogates-\\ud83d\\ude00",${fields}`,
    `{"number":1.0e+2,"big":12345678901234567890,"message_id":"numbers",${fields}`,
    `{"message_id":"first","message_id":"last-of-two-keys",${fields}`,
  ];
  for (const body of bodies) {
    const response = await server.post(body);
    assert.equal(await response.text(), '{"status":"ok"}', body);
    assert.equal(response.status, 200);
    const reserialised = signatureOf(JSON.stringify(JSON.parse(body)) + " ");
    const refused = await server.post(body, { "x-signature": reserialised });
    assert.equal(refused.status, 401);
    await refused.body?.cancel();
  }
  const ids = server.query("SELECT message_id FROM messages ORDER BY seq");
  assert.deepEqual(ids.map(({ message_id }) => message_id), [
    "plain",
    "whitespace",
    "trailing-newline",
    "escapes/",
    "emoji-😀",
    "surrogates-😀",
    "numbers",
    "last-of-two-keys",
  ]);
});

Deno.test("POST /webhook refuses every signature but the right hex digits", async () => {
  await using server = await TestServer.start();
  const body = JSON.stringify(message());
  const right = signatureOf(body);
  const base64 = btoa(
    right.replace(/../g, (hex) => String.fromCharCode(parseInt(hex, 16))),
  );
  const wrong: Record<string, string>[] = [
    {},
    ...[
      "",
      `sha256=${right}`,
      right.slice(1),
      `${right}0`,
      `${right} ${right}`,
      base64,
      signatureOf(body, "another secret"),
      signatureOf(`${body} `),
      "0".repeat(64),
      "g".repeat(64),
    ].map((signature) => ({ "x-signature": signature })),
  ];
  for (const headers of wrong) {
    const response = await server.post(body, headers);
    assert.equal(response.status, 401, JSON.stringify(headers));
    assert.deepEqual(await response.json(), { detail: "invalid signature" });
  }
  assert.equal(server.query("SELECT * FROM messages").length, 0);
  const lines = await server.loggedTimes(
    wrong.length,
    ({ status }) => status === 401,
  );
  for (const line of lines) {
    assert.equal(line.level, "ERROR");
    assert.equal(line.result, "invalid_signature");
    assert(!JSON.stringify(line).includes(right));
  }
  assert.equal(
    await server.metric('webhook_requests_total{result="invalid_signature"}'),
    wrong.length,
  );
  const upperCase = { "x-signature": right.toUpperCase() };
  assert.equal((await server.post(body, upperCase)).status, 200);
});

Deno.test("POST /webhook keeps the first message when a second has its id", async () => {
  await using server = await TestServer.start();
  const first = message({ message_id: "m1", text: "first" });
  assert.equal(await server.deliver(first), 200);
  assert.equal(await server.deliver(first), 200);
  assert.equal(await server.deliver({ ...first, text: "changed" }), 200);
  const { data } = await server.get<{ data: unknown[] }>("/messages");
  assert.deepEqual(data, [first]);
  const lines = await server.loggedTimes(
    3,
    ({ path }) => path === "/webhook",
  );
  const results = lines.map(({ result, dup, message_id }) => ({
    result,
    dup,
    message_id,
  }));
  assert.deepEqual(results, [
    { result: "created", dup: false, message_id: "m1" },
    { result: "duplicate", dup: true, message_id: "m1" },
    { result: "duplicate", dup: true, message_id: "m1" },
  ]);
});

Deno.test("POST /webhook creates one row when 100 deliver it at the same instant", async () => {
  await using server = await TestServer.start();
  const body = JSON.stringify(message({ message_id: "once" }));
  const responses = await Promise.all(
    Array.from({ length: 100 }, () => server.post(body)),
  );
  for (const response of responses) {
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { status: "ok" });
  }
  assert.equal(server.query("SELECT * FROM messages").length, 1);
  const series = (result: string) =>
    server.metric(`webhook_requests_total{result="${result}"}`);
  assert.equal(await series("created"), 1);
  assert.equal(await series("duplicate"), 99);
});

Deno.test("POST /webhook stores all of 1,000 that arrive at once", async () => {
  await using server = await TestServer.start();
  const ids = Array.from({ length: 1000 }, (_, index) => `m${index}`);
  const statuses = await Promise.all(
    ids.map((message_id) => server.deliver(message({ message_id }))),
  );
  assert(statuses.every((status) => status === 200));
  const rows = server.query("SELECT message_id FROM messages");
  assert.deepEqual(
    rows.map(({ message_id }) => message_id as string).sort(),
    ids.toSorted(),
  );
  assert.equal((await server.get("/messages?limit=1")).total, 1000);
});

Deno.test("POST /webhook reports all invalid fields at once", async () => {
  await using server = await TestServer.start();
  const invalid = {
    from: "919876543210",
    to: "+1415555010٠",
    ts: "2025-02-30T10:00:00Z",
    text: 5,
  };
  const response = await server.post(JSON.stringify(invalid));
  assert.equal(response.status, 422);
  const { detail } = await response.json() as FieldErrors;
  assert.deepEqual(detail.map(({ type, loc }) => [type, ...loc]), [
    ["missing", "body", "message_id"],
    ["string_pattern_mismatch", "body", "from"],
    ["string_pattern_mismatch", "body", "to"],
    ["datetime_parsing", "body", "ts"],
    ["string_type", "body", "text"],
  ]);
  for (const { msg } of detail) assert.notEqual(msg, "");
  assert.equal(server.query("SELECT * FROM messages").length, 0);
});

Deno.test("POST /webhook answers 422 to signed bodies that are no message", async () => {
  await using server = await TestServer.start();
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const json = JSON.stringify(message());
  const bodies: Record<string, Uint8Array<ArrayBuffer>> = {
    empty: utf8(""),
    "no JSON": utf8("hello"),
    null: utf8("null"),
    array: utf8(`[${json}]`),
    string: utf8('"text"'),
    number: utf8("1"),
    "two values": utf8(json + json),
    "byte order mark": utf8(`\ufeff${json}`),
    "invalid UTF-8": Uint8Array.from([...utf8(json), 0xff]),
    "UTF-8 of a surrogate": Uint8Array.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
    "overlong NUL": Uint8Array.from([0x22, 0xc0, 0x80, 0x22]),
    "a NUL byte": utf8(json.replace("Hello", "He\0llo")),
    "100,000 [": utf8("[".repeat(100_000)),
    "100,000 [ and ]": utf8("[".repeat(100_000) + "]".repeat(100_000)),
    "deep, in an object": utf8(`{"a":`.repeat(100_000)),
    "NUL in the id": utf8(JSON.stringify(message({ message_id: "a\0b" }))),
    "NUL in the text": utf8(JSON.stringify(message({ text: "a\0b" }))),
    "lone surrogate in the id": utf8(
      JSON.stringify(message({ message_id: "a\ud800" })),
    ),
    "lone surrogate in the text": utf8(
      JSON.stringify(message({ text: "\udc00a" })),
    ),
    "newline behind from": utf8(
      JSON.stringify(message({ from: "+919876543210\n" })),
    ),
  };
  for (const [name, body] of Object.entries(bodies)) {
    const response = await server.post(body);
    assert.equal(response.status, 422, name);
    const { detail } = await response.json() as FieldErrors;
    assert(Array.isArray(detail) && detail.length > 0, name);
    assert.equal(detail[0].loc[0], "body");
  }
  assert.equal(server.query("SELECT * FROM messages").length, 0);
  assert.equal(
    await server.metric('webhook_requests_total{result="validation_error"}'),
    Object.keys(bodies).length,
  );
});

Deno.test("POST /webhook counts code points when it limits texts and ids", async () => {
  await using server = await TestServer.start();
  const emoji = (count: number) => "😀".repeat(count);
  assert.equal(await server.deliver(message({ text: emoji(4096) })), 200);
  assert.equal(await server.deliver(message({ text: emoji(4097) })), 422);
  assert.equal(await server.deliver(message({ text: "x".repeat(4097) })), 422);
  assert.equal(await server.deliver(message({ message_id: emoji(512) })), 200);
  assert.equal(await server.deliver(message({ message_id: emoji(513) })), 422);
  assert.equal(await server.deliver(message({ message_id: "" })), 422);
  assert.equal(await server.deliver(message({ message_id: " m " })), 200);
  const rows = server.query(
    "SELECT length(text) AS length FROM messages WHERE text LIKE '😀%'",
  );
  assert.equal(rows[0].length, 4096);
});

Deno.test("POST /webhook accepts a text that is null or missing", async () => {
  await using server = await TestServer.start();
  const { text: _, ...withoutText } = message({ message_id: "a" });
  assert.equal(await server.deliver(withoutText), 200);
  assert.equal(
    await server.deliver(message({ message_id: "b", text: null })),
    200,
  );
  assert.equal(
    await server.deliver(message({ message_id: "c", text: "" })),
    200,
  );
  const { data } = await server.get<{ data: { text: unknown }[] }>("/messages");
  assert.deepEqual(data.map(({ text }) => text), [null, null, ""]);
});

Deno.test("POST /webhook takes a body of 1 MiB and refuses one byte more", async () => {
  await using server = await TestServer.start();
  const largest = bodyOfSize(maxBodyBytes);
  assert.equal(new TextEncoder().encode(largest).length, maxBodyBytes);
  assert.equal((await server.post(largest)).status, 200);
  const tooLarge = await server.post(bodyOfSize(maxBodyBytes + 1));
  assert.equal(tooLarge.status, 413);
  assert.equal(typeof (await tooLarge.json()).detail, "string");
});

Deno.test("POST /webhook refuses 10 MB before it is sent, and before its signature", async () => {
  await using server = await TestServer.start();
  // Nothing but the headers is sent: the answer can't have waited for the body.
  using connection = await server.send(
    "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n",
  );
  assert.match(await connection.read(), /^HTTP\/1\.1 413 /);
  const all = await server.post("x".repeat(10_000_000), {});
  assert.equal(all.status, 413);
  await all.body?.cancel();
  assert.equal(
    await server.metric('webhook_requests_total{result="too_large"}'),
    2,
  );
});

Deno.test("POST /webhook limits a body without a length, and reads a small one", async () => {
  await using server = await TestServer.start();
  const body = JSON.stringify(message({ message_id: "chunked" }));
  const stream = (text: string) =>
    new Blob([text]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
  const post = (text: string) =>
    server.fetch("/webhook", {
      method: "POST",
      body: stream(text),
      headers: { "x-signature": signatureOf(text) },
    });
  assert.equal((await post(body)).status, 200);
  assert.equal((await post(bodyOfSize(maxBodyBytes))).status, 200);
  const tooLarge = await post(bodyOfSize(maxBodyBytes + 1));
  assert.equal(tooLarge.status, 413);
  assert.equal(server.query("SELECT * FROM messages").length, 2);
});

Deno.test("POST /webhook stores nothing when the client breaks off", async () => {
  await using server = await TestServer.start();
  const body = JSON.stringify(message());
  const connection = await server.send(
    `POST /webhook HTTP/1.1\r\nHost: x\r\nX-Signature: ${
      signatureOf(body)
    }\r\n` +
      `Content-Length: ${body.length + 1}\r\n\r\n${body}`,
  );
  connection[Symbol.dispose]();
  const line = await server.logged(({ path }) => path === "/webhook");
  assert.equal(line.result, "incomplete_body");
  assert.equal(line.status, 400);
  assert.equal(server.query("SELECT * FROM messages").length, 0);
});

Deno.test("POST /webhook logs odd ids as one line of JSON each", async () => {
  await using server = await TestServer.start();
  const ids = [
    "line\nfeed",
    "\u2028\u2029\u0085\x7f\x1b[31m",
    '{"level":"ERROR"}',
    "😀",
    "\\",
  ];
  for (const message_id of ids) {
    assert.equal(await server.deliver(message({ message_id })), 200);
  }
  const logged = await server.loggedTimes(
    ids.length,
    ({ path }) => path === "/webhook",
  );
  assert.deepEqual(logged.map(({ message_id }) => message_id), ids);
});
