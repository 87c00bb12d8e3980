import assert from "node:assert/strict";
import fc from "fast-check";
import {
  canonicalJson,
  elementsOf,
  membersOf,
  parseJson,
} from "../lib/json.ts";

/** Any JSON value, with strings of any code units and some awkward keys. */
const { value: jsonValue } = fc.letrec((tie) => {
  const string = fc.oneof(
    fc.string({ unit: "binary", maxLength: 8 }),
    fc.string({ unit: fc.constantFrom(...'\\"/[]{},: \n\0\u2028') }),
    fc.constantFrom("__proto__", "constructor", "\ud800", "\udc00\ud800", "1"),
  );
  return {
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.constantFrom(null, true, false, 0, [], {}),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
      string,
      fc.array(tie("value"), { maxLength: 5 }),
      // An own member, also where its key is "__proto__".
      fc.array(fc.tuple(string, tie("value")), { maxLength: 5 })
        .map((entries) => Object.fromEntries(entries)),
    ),
  };
});

const space = fc.string({ unit: fc.constantFrom(..." \t\r\n"), maxLength: 3 });

/**
 * The JSON of a value in another spelling: white space, escapes and the order
 * of keys as `pick` has them.
 */
function spell(value: unknown, pick: fc.GeneratorValue): string {
  const blank = () => pick(() => space);
  const list = (open: string, parts: string[], close: string) =>
    `${blank()}${open}${blank()}${parts.join(",")}${close}${blank()}`;
  if (Array.isArray(value)) {
    const elements = value.map((element) => spell(element, pick));
    return list("[", elements, "]");
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    const order = pick(() =>
      fc.shuffledSubarray(entries, {
        minLength: entries.length,
        maxLength: entries.length,
      })
    );
    const members = order.map(([key, member]) =>
      `${spell(key, pick)}:${spell(member, pick)}`
    );
    return list("{", members, "}");
  }
  const json = typeof value === "string" && pick(fc.boolean)
    ? `"${
      Array.from(
        { length: value.length },
        (_, index) =>
          `\\u${value.charCodeAt(index).toString(16).padStart(4, "0")}`,
      ).join("")
    }"`
    : JSON.stringify(value);
  return `${blank()}${json}${blank()}`;
}

Deno.test("parseJson() gives text and value when the bytes are JSON in UTF-8, else what is wrong", () => {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  const json = ' {"é":[1e400, 12345678901234567890]}\n';
  assert.deepEqual(parseJson(utf8(json)), {
    ok: true,
    text: json,
    value: JSON.parse(json),
  });
  const wrong: [bytes: Uint8Array, what: string][] = [
    [utf8(""), "JSON"],
    [utf8("\ufeff{}"), "JSON"],
    [utf8("{}{}"), "JSON"],
    [utf8("NaN"), "JSON"],
    [utf8('"\0"'), "JSON"],
    [utf8("[".repeat(100_000)), "JSON"],
    [new Uint8Array([0x22, 0xff, 0x22]), "UTF-8"],
    [new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), "UTF-8"],
  ];
  for (const [bytes, what] of wrong) {
    const msg = `Body should be valid ${what}`;
    const errors = [{ type: "json_invalid", loc: ["body"], msg }];
    assert.deepEqual(parseJson(bytes), { ok: false, errors }, bytes.join());
  }
});

Deno.test("membersOf() gives each member's own text when the JSON is an object", () => {
  const digits = "1234567890".repeat(501);
  const objects: [json: string, members: [string, string][]][] = [
    ["{}", []],
    [" \t\r\n{ \t\r\n} \t\r\n", []],
    ['{"a":1}', [["a", "1"]]],
    ['{ "a" : 1 , "b" : -1.50e+10 }', [["a", "1"], ["b", "-1.50e+10"]]],
    ['{"a":true,"b":false,"c":null}', [
      ["a", "true"],
      ["b", "false"],
      ["c", "null"],
    ]],
    [`{"n":9007199254740993,"m":1e400,"d":${digits}}`, [
      ["n", "9007199254740993"],
      ["m", "1e400"],
      ["d", digits],
    ]],
    ['{"a":{ "b" : [ 1 ] },"c":[ { } ]}', [
      ["a", '{ "b" : [ 1 ] }'],
      ["c", "[ { } ]"],
    ]],
    ['{"a":"}","b":"\\"","c":"\\\\","d":"]{[,:"}', [
      ["a", '"}"'],
      ["b", '"\\""'],
      ["c", '"\\\\"'],
      ["d", '"]{[,:"'],
    ]],
    ['{"a":["\\"]"],"b":["\\\\"]}', [["a", '["\\"]"]'], ["b", '["\\\\"]']]],
    // Keys are compared as they read, and the last one counts.
    ['{"a":1,"\\u0061":2,"b":3,"a":4}', [["a", "4"], ["b", "3"]]],
    ['{"":1,"\\ud800":2,"\\"}":3,"é":"\\u00e9"}', [
      ["", "1"],
      ["\ud800", "2"],
      ['"}', "3"],
      ["é", '"\\u00e9"'],
    ]],
    ['{"__proto__":{"a":1},"constructor":2}', [
      ["__proto__", '{"a":1}'],
      ["constructor", "2"],
    ]],
  ];
  for (const [json, members] of objects) {
    assert.deepEqual(Array.from(membersOf(json)!), members, json);
  }
});

Deno.test("elementsOf() gives each element's own text when the JSON is an array", () => {
  const arrays: [json: string, elements: string[]][] = [
    ["[]", []],
    [" \t\r\n[ \t\r\n] \t\r\n", []],
    ["[[]]", ["[]"]],
    ["[1]", ["1"]],
    ["[ 1 ,\n-0.0,1E5 , 9007199254740993]", [
      "1",
      "-0.0",
      "1E5",
      "9007199254740993",
    ]],
    ["[true,false,null]", ["true", "false", "null"]],
    ['[{ "a":[1,2] }, [ ]]', ['{ "a":[1,2] }', "[ ]"]],
    ['["]", "\\"]", "\\\\", ","]', ['"]"', '"\\"]"', '"\\\\"', '","']],
    ['["\\\\\\"", 1]', ['"\\\\\\""', "1"]],
  ];
  for (const [json, elements] of arrays) {
    assert.deepEqual(elementsOf(json), elements, json);
  }
});

Deno.test("membersOf() and elementsOf() give undefined when the JSON is of another kind", () => {
  for (
    const json of ["1", '"{}"', '"[]"', " null", "\ntrue", "-1e5", '"\\""']
  ) {
    assert.equal(membersOf(json), undefined, json);
    assert.equal(elementsOf(json), undefined, json);
  }
  assert.equal(membersOf(" []"), undefined);
  assert.equal(elementsOf(" {}"), undefined);
  assert.equal(membersOf(undefined), undefined);
  assert.equal(elementsOf(undefined), undefined);
});

Deno.test("membersOf() and elementsOf() give what JSON.parse() gives when the texts are parsed", () => {
  fc.assert(fc.property(jsonValue, fc.gen(), (value, pick) => {
    const json = spell(value, pick);
    const parsed: unknown = JSON.parse(json);
    const elements = elementsOf(json);
    const members = membersOf(json);
    const isArray = Array.isArray(parsed);
    const isObject = typeof parsed === "object" && parsed !== null && !isArray;
    assert.equal(elements !== undefined, isArray);
    assert.equal(members !== undefined, isObject);
    assert.deepEqual(
      elements?.map((text) => JSON.parse(text)),
      isArray ? parsed : undefined,
    );
    assert.deepEqual(
      members &&
        Object.fromEntries(
          Array.from(members, ([key, text]) => [key, JSON.parse(text)]),
        ),
      isObject ? parsed : undefined,
    );
    for (const text of elements ?? members?.values() ?? []) {
      assert(json.includes(text), "the sender's own text");
      assert.equal(text, text.trim());
    }
  }));
});

Deno.test("canonicalJson() gives one text when the same is written in several ways", () => {
  const digits = `-${"9".repeat(6000)}.5`;
  const spellings: [canonical: string, ...others: string[]][] = [
    ["{}", " { } "],
    ["[]", "\n[\t]\r"],
    ["1", " 1\n"],
    ["null", "\tnull "],
    ['"é/"', '"\\u00e9\\/"', ' "\\u00E9/" '],
    ['"\\ud800"', '"\\uD800"'],
    ['{"a":1,"b":[2,{"c":3,"d":4}]}', '{"b":[2, {"d":4,"c":3} ],\n"a" :1}'],
    ['{"":0,"A":1,"a":2}', '{"a":2,"":0,"\\u0041":1}'],
    ['{"a":2}', '{"a":1,"\\u0061":2}'],
    ['{"__proto__":{"a":1},"b":2}', '{"b":2,"__proto__":{"a":1}}'],
    ["[9007199254740993,1e400,1.0]", "[ 9007199254740993 , 1e400,1.0 ]"],
    [`[${digits}]`, `[ ${digits} ]`],
  ];
  for (const [canonical, ...others] of spellings) {
    for (const json of [canonical, ...others]) {
      assert.equal(canonicalJson(json), canonical, json.slice(0, 80));
    }
  }
});

Deno.test("canonicalJson() gives several texts when values differ", () => {
  const values = [
    "null",
    "1",
    '"1"',
    "[1]",
    "[[1]]",
    '{"1":1}',
    "[1,2]",
    "[2,1]",
    "[12]",
    '["1","2"]',
    '["1,2"]',
    '{"a":"b"}',
    '{"b":"a"}',
    '{"a\\":\\"b":1}',
    '{"a":{},"b":1}',
    '{"a":{"b":1}}',
    // Past 2^53 and past a double's range.
    "9007199254740992",
    "9007199254740993",
    "1e400",
    "1e401",
    '"\\ud800"',
    '"\\ud801"',
    '"\\ufffd"',
  ];
  assert.equal(new Set(values.map((json) => canonicalJson(json))).size, 23);
});

Deno.test("canonicalJson() is the same for every spelling of a value and another for another value", () => {
  fc.assert(
    fc.property(jsonValue, jsonValue, fc.gen(), (value, other, pick) => {
      const canonical = canonicalJson(JSON.stringify(value));
      assert.equal(canonicalJson(spell(value, pick)), canonical);
      assert.equal(canonicalJson(canonical), canonical);
      assert.deepEqual(JSON.parse(canonical), value);
      let isSame = true;
      try {
        assert.deepEqual(value, other);
      } catch {
        isSame = false;
      }
      assert.equal(
        canonicalJson(spell(other, pick)) === canonical,
        isSame,
      );
    }),
  );
});

Deno.test("canonicalJson() leaves the text as it is below the depth", () => {
  assert.equal(
    canonicalJson('[ {"b":[ 1 ],"a":2} ]', 1),
    '[{"b":[ 1 ],"a":2}]',
  );
  assert.equal(
    canonicalJson('[ {"b":[ 1 ],"a":2} ]', 2),
    '[{"a":2,"b":[ 1 ]}]',
  );
});

Deno.test("membersOf(), elementsOf() and canonicalJson() return when JSON is nested 100,000 deep or 3 MB long", () => {
  const deep = (open: string, close: string) =>
    `${open.repeat(100_000)}1${close.repeat(100_000)}`;
  const arrays = deep("[", "]");
  const objects = deep('{"a":', "}");
  const digits = "7".repeat(3_000_000);
  assert.deepEqual(elementsOf(arrays), [arrays.slice(1, -1)]);
  assert.deepEqual(membersOf(objects)?.get("a"), objects.slice(5, -1));
  assert.deepEqual(elementsOf(`[${digits}]`), [digits]);
  for (const json of [arrays, objects, digits, `[${digits}]`]) {
    assert(canonicalJson(json) === json);
  }
});
