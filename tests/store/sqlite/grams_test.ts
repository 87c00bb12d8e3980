import assert from "node:assert/strict";
import fc from "fast-check";
import { countGrams } from "../../../lib/store/sqlite/grams.ts";

Deno.test("countGrams() counts each text once when it holds a gram several times", () => {
  assert.deepEqual(
    countGrams(["aba", "ba", ""], 0).grams,
    new Map([["a", 2], ["ab", 1], ["b", 2], ["ba", 2]]),
  );
});

Deno.test("countGrams() takes a code point for one character when it is beyond ASCII", () => {
  const { grams } = countGrams(["é😀", "😀a", "é"], 10);
  assert.deepEqual(
    Object.fromEntries(grams),
    { "a": 1, "é": 2, "😀": 2, "é😀": 1, "😀a": 1 },
  );
});

Deno.test("countGrams() counts what a plain scan finds", () => {
  const text = fc.string({
    unit: fc.constantFrom(..."ab \x01\x7f\x80éя😀\u{10ffff}"),
    maxLength: 6,
  });
  fc.assert(fc.property(fc.array(text, { maxLength: 6 }), (texts) => {
    const { grams } = countGrams(texts, Infinity);
    const found = new Set(texts.flatMap((text) => {
      const characters = Array.from(text);
      const pairs = characters.map((first, index) =>
        first + (characters[index + 1] ?? "")
      );
      return [...characters, ...pairs];
    }));
    assert.deepEqual(new Set(grams.keys()), found);
    for (const [gram, count] of grams) {
      assert.equal(count, texts.filter((text) => text.includes(gram)).length);
    }
  }));
});

Deno.test("countGrams() ends behind a text with which there are more grams beyond ASCII", () => {
  assert.equal(countGrams(["é", "è", "ab", "ê", "ab"], 2).size, 4);
  assert.equal(countGrams(["é", "è", "ab", "ê", "ab"], 3).size, 5);
  assert.equal(countGrams([], 0).size, 0);
});
