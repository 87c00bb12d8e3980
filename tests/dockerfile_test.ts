import assert from "node:assert/strict";
import { dirname } from "node:path";
import { validate } from "dockerfile-utils";
import denoConfig from "../deno.json" with { type: "json" };
import { readConfig } from "../lib/config.ts";
import { serverCommand } from "./harness.ts";

interface Instruction {
  readonly keyword: string;
  /** `--from=build` and the like. */
  readonly flags: readonly string[];
  readonly words: readonly string[];
  readonly text: string;
}

function parseInstruction(line: string): Instruction {
  const [keyword, ...words] = line.trim().split(/\s+/);
  return {
    keyword,
    flags: words.filter((word) => word.startsWith("--")),
    words: words.filter((word) => !word.startsWith("--")),
    text: words.join(" "),
  };
}

const root = new URL("../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, root));
const linesOf = (text: string) =>
  text.split("\n").filter((line) => line.trim() !== "" && line[0] !== "#");

const dockerfile = read("Dockerfile");
const instructions = linesOf(dockerfile.replaceAll(/\\\n/g, ""))
  .map(parseInstruction);
const runtimeStart = instructions.findLastIndex(({ keyword }) =>
  keyword === "FROM"
);
const build = instructions.slice(0, runtimeStart);
const runtime = instructions.slice(runtimeStart);
const defaults = readConfig(() => undefined);

function all(stage: readonly Instruction[], keyword: string): Instruction[] {
  return stage.filter((instruction) => instruction.keyword === keyword);
}

/** The only such instruction of a stage. */
function one(stage: readonly Instruction[], keyword: string): Instruction {
  const found = all(stage, keyword);
  assert.equal(found.length, 1, keyword);
  return found[0];
}

/** The files that a program imports, as paths in this repository. */
async function localImports(program: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", program],
    cwd: root,
  }).output();
  const { modules }: { modules: { specifier: string }[] } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  return modules.map(({ specifier }) => specifier)
    .filter((specifier) => specifier.startsWith(root.href))
    .map((specifier) => specifier.slice(root.href.length));
}

const copied = all(build, "COPY").flatMap(({ words }) => words.slice(0, -1));

Deno.test("Dockerfile has no errors and no warnings", () => {
  assert.deepEqual(
    validate(dockerfile).map(({ message, range }) =>
      `line ${range.start.line + 1}: ${message}`
    ),
    [],
  );
});

Deno.test("Dockerfile copies only paths that exist", () => {
  assert.notEqual(copied.length, 0);
  for (const path of copied) Deno.statSync(new URL(path, root));
});

Deno.test(".dockerignore lets through what the Dockerfile copies and nothing else", () => {
  const [first, ...rest] = linesOf(read(".dockerignore"));
  assert.equal(first, "*");
  assert.deepEqual(rest, copied.map((path) => `!${path}`));
});

Deno.test("Dockerfile copies all that the executable is made of", async () => {
  const sources = denoConfig.tasks.bundle.command.match(/\S+\.ts/g)!;
  const files = (await Promise.all(sources.map(localImports))).flat();
  assert(files.includes("lib/server.ts"));
  for (const file of ["deno.json", "deno.lock", ...files]) {
    assert(
      copied.some((path) => file === path || file.startsWith(`${path}/`)),
      file,
    );
  }
});

Deno.test("Dockerfile starts the executable that the compile task builds", () => {
  assert.deepEqual(
    all(build, "RUN").map(({ text }) => text),
    ["deno task compile", "mkdir /data"],
  );
  const [, output] = denoConfig.tasks.compile.command.match(
    /--output (\S+)/,
  )!;
  const [executable] = all(runtime, "COPY");
  assert.deepEqual(executable.words, [
    `${one(build, "WORKDIR").text}/${output}`,
    "/usr/local/bin/",
  ]);
  assert.deepEqual(JSON.parse(one(runtime, "ENTRYPOINT").text), [
    output.replace(/^.*\//, "/usr/local/bin/"),
  ]);
  for (const { flags } of all(runtime, "COPY")) {
    assert(flags.includes(`--from=${one(build, "FROM").words.at(-1)}`));
  }
});

Deno.test("Dockerfile runs a user that is not root and owns the database's folder", () => {
  const user = one(runtime, "USER").text;
  assert.match(user, /^[1-9]\d*:[1-9]\d*$/);
  const folder = dirname(defaults.databasePath);
  assert.equal(one(runtime, "VOLUME").text, folder);
  const [, data] = all(runtime, "COPY");
  assert.deepEqual(data.words, [folder, folder]);
  assert(data.flags.includes(`--chown=${user}`));
});

Deno.test("Dockerfile exposes the default port", () => {
  assert.equal(one(runtime, "EXPOSE").text, `${defaults.port}`);
});

Deno.test("Dockerfile sets no variable", () => {
  assert.deepEqual(
    instructions.filter(({ keyword }) => ["ARG", "ENV"].includes(keyword)),
    [],
  );
});

Deno.test("HEALTHCHECK runs a command that --help lists", async () => {
  const [keyword, ...words] = one(runtime, "HEALTHCHECK").words;
  assert.equal(keyword, "CMD");
  const [executable, command, ...rest] = JSON.parse(words.join(" "));
  assert.deepEqual(
    [executable],
    JSON.parse(one(runtime, "ENTRYPOINT").text),
  );
  assert.deepEqual(rest, []);
  const [program, ...args] = serverCommand();
  const { stdout } = await new Deno.Command(program, {
    args: [...args, "--help"],
    cwd: root,
  }).output();
  const help = new TextDecoder().decode(stdout);
  assert.match(help, new RegExp(`^ +${command} `, "m"));
});

Deno.test("Dockerfile, CI and README name one version of Deno", () => {
  const [, version] = one(build, "FROM").text.match(
    /^denoland\/deno:debian-(\d+\.\d+\.\d+) AS /,
  )!;
  const named = [".ci/run", "README.md"].map((path) =>
    Array.from(read(path).matchAll(/\bdeno@([\w.]+)/g), ([, found]) => found)
  );
  for (const versions of named) {
    assert.deepEqual(new Set(versions), new Set([version]));
  }
});
