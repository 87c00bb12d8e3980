import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { fold, foldBeyondAscii } from "../../../lib/store/sqlite/fold.ts";

Deno.test("fold() removes the case when the text is of any script", () => {
  const folded: [text: string, expected: string][] = [
    ["", ""],
    ["Hello, World 1!", "hello, world 1!"],
    ["É", "é"],
    ["STRAẞE", "straße"],
    ["ΟΔΟΣ", "οδοσ"],
    ["οδος", "οδοσ"],
    ["Σ ς σ", "σ σ σ"],
    ["ПРИВЕТ", "привет"],
    ["İ", "i\u0307"],
    ["ı", "ı"],
    ["\u212a", "k"], // the Kelvin sign
    ["𐐀😀", "𐐨😀"],
    ["%_\\'\"", "%_\\'\""],
  ];
  for (const [text, expected] of folded) {
    assert.equal(fold(text), expected, text);
    assert.equal(fold(expected), expected, `${text} twice`);
  }
});

Deno.test("foldBeyondAscii() gives null when lower() of SQLite does as well", () => {
  const ascii = String.fromCharCode(...Array.from({ length: 128 }).keys());
  for (
    const text of ["", "Hello", ascii, "é", "aà", "日本😀", "Zé"]
  ) {
    assert.equal(foldBeyondAscii(text), null, text);
  }
});

Deno.test("foldBeyondAscii() gives the folded text when lower() of SQLite is not enough", () => {
  for (const text of ["É", "aÉ", "ος", "Привет", "İ", "\u212a", "HELLO Ñ"]) {
    assert.equal(foldBeyondAscii(text), fold(text), text);
  }
});

Deno.test("foldBeyondAscii() or lower() of SQLite gives what fold() gives for every code point", () => {
  const lower = (text: string) =>
    text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const texts: string[] = [];
  for (let codePoint = 1; codePoint <= 0x10ffff; codePoint++) {
    const char = String.fromCodePoint(codePoint);
    if (char.isWellFormed()) texts.push(`A${char}Z`);
  }
  const wrong = texts.filter((text) =>
    (foldBeyondAscii(text) ?? lower(text)) !== fold(text)
  );
  assert.deepEqual(wrong, []);
  // SQLite's lower() is that of the test.
  const db = new DatabaseSync(":memory:");
  const row = db.prepare("SELECT lower(?) AS lowered").get(texts.join(""));
  db.close();
  assert(row?.lowered === lower(texts.join("")));
});
