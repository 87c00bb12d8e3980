import assert from "node:assert/strict";
import { message, TestServer } from "../harness.ts";

interface Page {
  data: { message_id: string; ts: string; text: string | null }[];
  total: number;
  limit: number;
  offset: number;
}

async function deliverAll(
  server: TestServer,
  messages: Record<string, unknown>[],
): Promise<void> {
  for (const fields of messages) {
    assert.equal(await server.deliver(fields), 200, JSON.stringify(fields));
  }
}

async function idsOf(server: TestServer, query: string): Promise<string[]> {
  const { data, total } = await server.get<Page>(`/messages?${query}`);
  assert.equal(total, data.length, query);
  return data.map(({ message_id }) => message_id);
}

Deno.test("GET /messages orders by instant, then by message_id in binary order", async () => {
  await using server = await TestServer.start();
  const expected = [
    ["early", "2025-01-15T09:59:59.999Z"],
    ["A", "2025-01-15T10:00:00Z"],
    ["a", "2025-01-15T10:00:00.000Z"],
    ["z", "2025-01-15T10:00:00.0009Z"],
    ["é", "2025-01-15T10:00:00.0Z"],
    ["\uffff", "2025-01-15T10:00:00Z"],
    ["😀", "2025-01-15T10:00:00Z"],
    ["0", "2025-01-15T10:00:00.001Z"],
    ["1", "2025-01-15T10:00:00.01Z"],
    ["2", "2025-01-15T10:00:00.1Z"],
    ["3", "2025-01-15T10:00:01Z"],
  ];
  await deliverAll(
    server,
    expected.map(([message_id, ts]) => message({ message_id, ts })).reverse(),
  );
  const { data } = await server.get<Page>("/messages");
  assert.deepEqual(
    data.map(({ message_id, ts }) => [message_id, ts]),
    expected,
  );
});

Deno.test("GET /messages gives pages, and the total whatever the page", async () => {
  await using server = await TestServer.start();
  const ids = Array.from({ length: 120 }, (_, n) => `m${1000 + n}`);
  await Promise.all(
    ids.map((message_id) => server.deliver(message({ message_id }))),
  );
  const page = async (query: string) => {
    const { data, ...rest } = await server.get<Page>(`/messages?${query}`);
    return { ids: data.map(({ message_id }) => message_id), ...rest };
  };
  const total = 120;
  assert.deepEqual(await page(""), {
    ids: ids.slice(0, 50),
    total,
    limit: 50,
    offset: 0,
  });
  assert.deepEqual(await page("limit=100&offset=100"), {
    ids: ids.slice(100),
    total,
    limit: 100,
    offset: 100,
  });
  assert.deepEqual(await page("limit=1&offset=9007199254740991"), {
    ids: [],
    total,
    limit: 1,
    offset: Number.MAX_SAFE_INTEGER,
  });
});

Deno.test("GET /messages keeps the order of an answer's fields", async () => {
  await using server = await TestServer.start();
  await server.deliver(message({ message_id: "m1", text: null }));
  const text = await (await server.fetch("/messages?limit=1")).text();
  assert.equal(
    text,
    '{"data":[{"message_id":"m1","from":"+919876543210","to":"+14155550100",' +
      '"ts":"2025-01-15T10:00:00Z","text":null}],"total":1,"limit":1,"offset":0}',
  );
});

Deno.test("GET /messages filters by sender with its plus encoded or not", async () => {
  await using server = await TestServer.start();
  await deliverAll(server, [
    message({ message_id: "a", from: "+911" }),
    message({ message_id: "b", from: "+912" }),
    message({ message_id: "c", from: "+91" }),
  ]);
  assert.deepEqual(await idsOf(server, "from=%2B911"), ["a"]);
  assert.deepEqual(await idsOf(server, "from=+911"), ["a"]);
  assert.deepEqual(await idsOf(server, "from=%20911"), ["a"]);
  assert.deepEqual(await idsOf(server, "from=911"), []);
  assert.deepEqual(await idsOf(server, "from=%2B9%25"), []);
  assert.deepEqual(await idsOf(server, "from="), ["a", "b", "c"]);
});

Deno.test("GET /messages since an instant includes it", async () => {
  await using server = await TestServer.start();
  await deliverAll(server, [
    message({ message_id: "a", ts: "2025-01-15T09:59:59.9Z" }),
    message({ message_id: "b", ts: "2025-01-15T10:00:00Z" }),
    message({ message_id: "c", ts: "2025-01-15T10:00:00.5Z" }),
  ]);
  const since = (instant: string) => idsOf(server, `since=${instant}`);
  assert.deepEqual(await since("2025-01-15T10:00:00Z"), ["b", "c"]);
  assert.deepEqual(await since("2025-01-15T10:00:00.001Z"), ["c"]);
  assert.deepEqual(await since("2025-01-15T15:30:00%2B05:30"), ["b", "c"]);
  assert.deepEqual(await since("2025-01-15T15:30:00+05:30"), ["b", "c"]);
  assert.deepEqual(await since("2025-01-15T02:00:00-0800"), ["b", "c"]);
  assert.deepEqual(await since("2025-01-15T10:00:01Z"), []);
  assert.deepEqual(
    await idsOf(
      server,
      "since=2025-01-15T10:00:00Z&q=hello&from=+919876543210",
    ),
    ["b", "c"],
  );
});

Deno.test("GET /messages finds a text's characters as they are, in any case", async () => {
  await using server = await TestServer.start();
  const texts = [
    "100% sure",
    "100 sure",
    "snake_case",
    "snakecase",
    "C:\\temp",
    'it\'s "quoted"',
    "É à la CARTE",
    "ПРИВЕТ мир",
    "ΟΔΟΣ",
    "Grüße 😀",
    "İstanbul",
    null,
  ];
  await deliverAll(
    server,
    texts.map((text, n) => message({ message_id: `m${n}`, text })),
  );
  const search = async (q: string) => {
    const { data, total } = await server.get<Page>(
      `/messages?q=${encodeURIComponent(q)}`,
    );
    assert.equal(total, data.length);
    return data.map(({ text }) => text);
  };
  assert.deepEqual(await search("%"), ["100% sure"]);
  assert.deepEqual(await search("_"), ["snake_case"]);
  assert.deepEqual(await search("\\"), ["C:\\temp"]);
  assert.deepEqual(await search("'"), ['it\'s "quoted"']);
  assert.deepEqual(await search('"QUOTED"'), ['it\'s "quoted"']);
  assert.deepEqual(await search("' OR 1=1 --"), []);
  assert.deepEqual(await search("é À"), ["É à la CARTE"]);
  assert.deepEqual(await search("carte"), ["É à la CARTE"]);
  assert.deepEqual(await search("привет МИР"), ["ПРИВЕТ мир"]);
  assert.deepEqual(await search("οδοσ"), ["ΟΔΟΣ"]);
  assert.deepEqual(await search("ΟΔΟς"), ["ΟΔΟΣ"]);
  assert.deepEqual(await search("GRÜßE"), ["Grüße 😀"]);
  assert.deepEqual(await search("😀"), ["Grüße 😀"]);
  assert.deepEqual(await search("İST"), ["İstanbul"]);
  for (const q of ["\0", "100\0", "\u{0}100"]) {
    assert.deepEqual(await search(q), []);
  }
  assert.equal((await search("")).length, texts.length);
});

Deno.test("GET /messages refuses what no parameter may be", async () => {
  await using server = await TestServer.start();
  const invalid = {
    limit: ["0", "101", "-1", "", "abc", "1.5", "1e1", "0x10", " 5", "９"],
    offset: ["-1", "", "x", "99999999999999999999"],
    since: [
      "",
      "yesterday",
      "2025-01-15",
      "2025-01-15T10:00:00",
      "2025-02-29T10:00:00Z",
      "2025-01-15T24:00:00Z",
      "2025-01-15T10:00:00+25:00",
      "1736935200",
    ],
  };
  for (const [name, values] of Object.entries(invalid)) {
    for (const value of values) {
      const response = await server.fetch(
        `/messages?${name}=${encodeURIComponent(value)}`,
      );
      assert.equal(response.status, 422, `${name}=${value}`);
      const { detail } = await response.json();
      assert.deepEqual(detail[0].loc, ["query", name]);
    }
  }
  const all = await server.fetch("/messages?limit=0&offset=-1&since=x");
  assert.equal((await all.json()).detail.length, 3);
});

Deno.test("GET /stats counts messages and names the ten most frequent senders", async () => {
  await using server = await TestServer.start();
  assert.equal(
    await (await server.fetch("/stats")).text(),
    '{"total_messages":0,"senders_count":0,"messages_per_sender":[],' +
      '"first_message_ts":null,"last_message_ts":null}',
  );
  const senders = Array.from({ length: 12 }, (_, n) => `+91${10 + n}`);
  await deliverAll(server, [
    message({ from: senders[5], ts: "2025-01-10T09:00:00.5Z" }),
    message({ from: senders[5], ts: "2025-01-20T09:00:00Z" }),
    message({ from: senders[11], ts: "2025-01-12T09:00:00Z" }),
    ...senders.map((from) => message({ from })),
  ]);
  const counts = [
    { from: senders[5], count: 3 },
    { from: senders[11], count: 2 },
    ...senders.filter((_, n) => n !== 5 && n !== 11)
      .map((from) => ({ from, count: 1 })),
  ];
  assert.deepEqual(await server.get("/stats"), {
    total_messages: 15,
    senders_count: 12,
    messages_per_sender: counts.slice(0, 10),
    first_message_ts: "2025-01-10T09:00:00.5Z",
    last_message_ts: "2025-01-20T09:00:00Z",
  });
});

Deno.test("GET /messages?q= that reads everything holds up nothing else", async () => {
  await using server = await TestServer.start();
  assert.equal(await server.deliver(message({ text: "needle" })), 200);
  server.query(
    `INSERT INTO messages
       (message_id, from_msisdn, to_msisdn, ts, ts_ms, text, created_at)
     WITH RECURSIVE counter (n) AS
       (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < 150000)
     SELECT 'm' || n, '+1', '+2', '2025-01-15T10:00:00Z', 1736935200000 + n,
            printf('%.200c', 'X') || n, ''
       FROM counter`,
  );
  let searched = 0;
  const searches = Array.from({ length: 8 }, async () => {
    const { total } = await server.get<Page>("/messages?q=NEEDLE");
    searched++;
    return total;
  });
  // A search is under way once another request of its time has an answer.
  await server.get("/health/live");
  for (const path of ["/health/ready", "/messages?from=+919876543210"]) {
    await server.get(path);
    assert(searched < searches.length, path);
  }
  assert.equal(await server.deliver(message()), 200);
  assert(searched < searches.length, "/webhook");
  assert.deepEqual(await Promise.all(searches), new Array(8).fill(1));
});
