import assert from "node:assert/strict";
import denoConfig from "../deno.json" with { type: "json" };

const { tasks } = denoConfig;
const permissions = tasks.permissions.command.replace("echo ", "").split(" ");

/**
 * Runs a task that compiles with all it calls, but for the bundling and compiling,
 * and beside a program that tells another version.
 *
 * @returns The arguments of each `deno compile`.
 */
async function compilations(task: string, version: string) {
  const dir = await Deno.makeTempDir();
  const config = JSON.stringify(denoConfig)
    .replaceAll("deno bundle", "echo bundle")
    .replaceAll("deno compile", "echo compile");
  await Deno.writeTextFile(`${dir}/deno.json`, config);
  await Deno.writeTextFile(`${dir}/main.ts`, `console.log("${version}")`);
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", task],
    cwd: dir,
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  await Deno.remove(dir, { recursive: true });
  return new TextDecoder().decode(stdout).split("\n")
    .filter((line) => line.startsWith("compile "))
    .map((line) => line.split(" ").slice(1));
}

/** The value of an option. */
function valueOf(args: readonly string[], option: string): string | undefined {
  return args[args.indexOf(option) + 1];
}

Deno.test("compile:all names an executable by the program's version and its target", async () => {
  const all = await compilations("compile:all", "12.3.4");
  assert.deepEqual(
    all.map((args) => [valueOf(args, "--target"), valueOf(args, "--output")]),
    [
      "x86_64-unknown-linux-gnu",
      "aarch64-unknown-linux-gnu",
      "x86_64-apple-darwin",
      "aarch64-apple-darwin",
      "x86_64-pc-windows-msvc",
    ].map((target) => [target, `dist/whatsapp-inbox-12.3.4-${target}`]),
  );
});

Deno.test("compile and compile:all give an executable the permissions that start gives, and no prompt", async () => {
  const all = [
    ...await compilations("compile", "1.0.0"),
    ...await compilations("compile:all", "1.0.0"),
  ];
  assert.equal(all.length, 6);
  for (const args of all) {
    assert.deepEqual(
      args.filter((arg) => arg.startsWith("--allow-")),
      permissions,
    );
    assert(args.includes("--no-prompt"));
  }
  for (const task of [tasks.start, tasks.dev]) {
    assert(task.command.includes(" $(deno task --quiet permissions) "));
  }
});

Deno.test("bundle makes all that compile takes: the program and every worker", async () => {
  const workers: string[] = [];
  const folder = "lib/store/sqlite";
  for await (const { name } of Deno.readDir(folder)) {
    const source = await Deno.readTextFile(`${folder}/${name}`);
    if (source.includes('lib="deno.worker"')) workers.push(`${folder}/${name}`);
  }
  assert.deepEqual(
    tasks.bundle.command.match(/\S+\.ts/g)!.sort(),
    ["main.ts", ...workers].sort(),
  );
  const [args] = await compilations("compile", "1.0.0");
  const taken = args.filter((arg) => arg.endsWith(".js"));
  assert.deepEqual(
    taken.map((path) => path.replace("dist/bundle/", "")).sort(),
    ["main.js", ...workers.map((path) => path.replace(/.*\/(.*)ts/, "$1js"))]
      .sort(),
  );
});
