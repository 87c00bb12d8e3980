import assert from "node:assert/strict";
import { readConfig } from "../../lib/config.ts";
import { lacks, run } from "../harness.ts";

async function printedUnit(): Promise<string> {
  const { code, stdout, stderr } = await run({ args: ["systemd"] });
  assert.equal(code, 0);
  assert.equal(stderr, "");
  return stdout;
}

/** The unit with the settings that are there for the WhatsApp Cloud API. */
function withWhatsapp(unit: string): string {
  return unit.replaceAll(/^#(?=\w+=)/gm, "");
}

/** The values of a setting. */
function values(unit: string, name: string): string[] {
  return Array.from(
    unit.matchAll(new RegExp(`^${name}=(.*)$`, "gm")),
    ([, value]) => value,
  );
}

Deno.test("systemd prints a unit that starts this executable with what it lets it use", async () => {
  const unit = await printedUnit();
  const command = Deno.env.get("SERVER_COMMAND");
  assert.deepEqual(values(unit, "ExecStart"), [
    command === undefined
      ? "/usr/local/bin/whatsapp-inbox"
      : await Deno.realPath(command),
  ]);
  const dir = await Deno.makeTempDir();
  const names = [];
  for (const credential of values(withWhatsapp(unit), "LoadCredential")) {
    const [name, source] = credential.split(":");
    assert.equal(source, `/etc/whatsapp-inbox/${name}`);
    await Deno.writeTextFile(`${dir}/${name}`, `${name}\n`);
    names.push(name);
  }
  const read = (unit: string) => {
    const environment = values(unit, "Environment").flatMap((value) =>
      value.split(" ").map((pair) => pair.split("="))
    );
    const variables = Object.fromEntries(environment);
    return readConfig((name) => variables[name]?.replace("%d", dir));
  };
  const config = read(unit);
  assert.equal(config.secrets.WEBHOOK_SECRET, "webhook_secret");
  assert.equal(config.secrets.WHATSAPP_APP_SECRET, undefined);
  assert.equal(config.host, "127.0.0.1");
  const [stateDirectory] = values(unit, "StateDirectory");
  assert.equal(config.databasePath, `/var/lib/${stateDirectory}/app.db`);
  assert.deepEqual(
    Object.values(read(withWhatsapp(unit)).secrets).filter(Boolean),
    names,
  );
  await Deno.remove(dir, { recursive: true });
});

Deno.test({
  name: "systemd prints a unit that systemd-analyze finds right and safe",
  ignore: lacks("systemd-analyze"),
  async fn() {
    const dir = await Deno.makeTempDir();
    const path = `${dir}/whatsapp-inbox.service`;
    const unit = await printedUnit();
    for (const each of [unit, withWhatsapp(unit)]) {
      // The executable need not be installed here.
      const text = each.replace(/^ExecStart=.*/m, "ExecStart=/bin/true");
      await Deno.writeTextFile(path, text);
      const analyze = async (...args: string[]) => {
        const { code, stdout, stderr } = await new Deno.Command(
          "systemd-analyze",
          { args: [...args, path] },
        ).output();
        const said = new TextDecoder().decode(stdout) +
          new TextDecoder().decode(stderr);
        return { code, said };
      };
      assert.deepEqual(await analyze("verify"), { code: 0, said: "" });
      // In tenths, from 0 for what is shut in completely to 100.
      const { code, said } = await analyze(
        "security",
        "--offline=true",
        "--threshold=15",
      );
      assert.equal(code, 0, said);
    }
    await Deno.remove(dir, { recursive: true });
  },
});

Deno.test({
  name: "systemd-analyze finds the README's units for backups right",
  ignore: lacks("systemd-analyze"),
  async fn() {
    const dir = await Deno.makeTempDir();
    const readme = await Deno.readTextFile("README.md");
    const units = Array.from(
      readme.matchAll(
        / \/etc\/systemd\/system\/(\S+) .*<<'EOF'\n([^]*?)\nEOF/g,
      ),
      ([, name, text]) => ({ path: `${dir}/${name}`, text }),
    );
    assert.equal(units.length, 2);
    for (const { path, text } of units) await Deno.writeTextFile(path, text);
    const { code, stderr } = await new Deno.Command("systemd-analyze", {
      args: ["verify", ...units.map(({ path }) => path)],
      env: { SYSTEMD_UNIT_PATH: `${dir}:` },
    }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.equal(code, 0);
    await Deno.remove(dir, { recursive: true });
  },
});
