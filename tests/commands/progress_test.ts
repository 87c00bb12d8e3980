import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Progress } from "../../lib/commands/progress.ts";

class FakeTerminal {
  text = "";

  constructor(private readonly isOne: boolean) {}

  isTerminal(): boolean {
    return this.isOne;
  }

  writeSync(bytes: Uint8Array): number {
    this.text += new TextDecoder().decode(bytes);
    return bytes.length;
  }
}

Deno.test("Progress shows on a terminal, after a second and not too often, and leaves nothing", () => {
  const terminal = new FakeTerminal(true);
  const startMs = performance.now();
  const progress = new Progress(terminal);
  progress.clear();
  assert.equal(terminal.text, "");
  let shows = 0;
  const showUntil = (condition: () => boolean) => {
    while (!condition()) progress.show(`step ${++shows}`);
  };
  showUntil(() => terminal.text !== "");
  assert(performance.now() - startMs >= 1000);
  assert.equal(terminal.text, `\r\x1b[Kstep ${shows}`);
  const firstMs = performance.now();
  terminal.text = "";
  showUntil(() => terminal.text !== "");
  assert(performance.now() - firstMs >= 150);
  terminal.text = "";
  progress.clear();
  assert.equal(terminal.text, "\r\x1b[K");
  progress.clear();
  assert.equal(terminal.text, "\r\x1b[K", "once");
});

Deno.test("Progress writes nothing where there is no terminal", () => {
  const terminal = new FakeTerminal(false);
  const startMs = performance.now();
  const progress = new Progress(terminal);
  while (performance.now() - startMs < 1300) progress.show("step");
  progress.clear();
  assert.equal(terminal.text, "");
});

Deno.test("Progress shows for how long a task goes on, and gives what comes of it", async () => {
  const terminal = new FakeTerminal(true);
  const progress = new Progress(terminal);
  const task = Promise.withResolvers<string>();
  const during = progress.during("checking", task.promise);
  while (terminal.text === "") await delay(10);
  assert.equal(terminal.text, "\r\x1b[Kchecking: 1 s");
  task.resolve("fine");
  assert.equal(await during, "fine");
  const failing = progress.during("failing", Promise.reject(new Error("x")));
  await assert.rejects(failing, /^Error: x$/);
});
