import assert from "node:assert/strict";
import denoConfig from "../deno.json" with { type: "json" };
import { ConfigError, localUrl, readConfig } from "../lib/config.ts";

const secretNames = [
  "WEBHOOK_SECRET",
  "WEBHOOK_SECRET_PREVIOUS",
  "WHATSAPP_APP_SECRET",
  "WHATSAPP_APP_SECRET_PREVIOUS",
  "WHATSAPP_VERIFY_TOKEN",
];

type Variables = Record<string, string>;

function read(variables: Variables) {
  return readConfig((name) => variables[name]);
}

function errorFrom(variables: Variables): ConfigError {
  try {
    read(variables);
  } catch (error) {
    assert(error instanceof ConfigError);
    return error;
  }
  assert.fail(`accepted ${JSON.stringify(variables)}`);
}

/** All secrets, unset but for these. */
function secrets(set: Variables = {}) {
  return Object.fromEntries(secretNames.map((name) => [name, set[name]]));
}

const defaults = {
  secrets: secrets(),
  databasePath: "/data/app.db",
  retentionDays: Infinity,
  minFreeDiskBytes: 256 << 20,
  logLevel: "INFO",
  host: "0.0.0.0",
  port: 8000,
};

Deno.test("readConfig() gives the defaults when variables are missing or empty", () => {
  assert.deepEqual(read({}), defaults);
  assert.deepEqual(
    read({
      ...Object.fromEntries(secretNames.map((name) => [name, ""])),
      DATABASE_URL: "",
      RETENTION_DAYS: "",
      MIN_FREE_DISK_MIB: "",
      LOG_LEVEL: "",
      HOST: "",
      PORT: "",
    }),
    defaults,
  );
});

Deno.test("readConfig() takes the value when a variable is valid", () => {
  const accepted: [variable: string, value: string, expected: object][] = [
    ...secretNames.flatMap((name) =>
      [" ", "für"].map((value): [string, string, object] => [
        name,
        value,
        { secrets: secrets({ [name]: value }) },
      ])
    ),
    ["DATABASE_URL", "sqlite:////abs/app.db", { databasePath: "/abs/app.db" }],
    ["DATABASE_URL", "sqlite:///rel/app.db", { databasePath: "rel/app.db" }],
    ["DATABASE_URL", "sqlite:///./app.db", { databasePath: "./app.db" }],
    ["DATABASE_URL", "sqlite:////a b/é?%.db", { databasePath: "/a b/é?%.db" }],
    ["DATABASE_URL", "sqlite:///:memory:", { databasePath: ":memory:" }],
    ["RETENTION_DAYS", "1", { retentionDays: 1 }],
    ["RETENTION_DAYS", "9999999", { retentionDays: 9_999_999 }],
    ["LOG_LEVEL", "debug", { logLevel: "DEBUG" }],
    ["LOG_LEVEL", "Info", { logLevel: "INFO" }],
    ["LOG_LEVEL", "WARNING", { logLevel: "WARNING" }],
    ["LOG_LEVEL", "eRROR", { logLevel: "ERROR" }],
    ["HOST", "127.0.0.1", { host: "127.0.0.1" }],
    ["HOST", "::", { host: "::" }],
    ["HOST", "fe80::1%eth0", { host: "fe80::1%eth0" }],
    ["HOST", "my-host.example", { host: "my-host.example" }],
    ["PORT", "1", { port: 1 }],
    ["PORT", "65535", { port: 65535 }],
  ];
  for (const [variable, value, expected] of accepted) {
    assert.deepEqual(read({ [variable]: value }), { ...defaults, ...expected });
  }
});

Deno.test("readConfig() throws with the variable and its value when that can't be used", () => {
  const refused: Record<string, string[]> = {
    DATABASE_URL: [
      "/data/app.db",
      "app.db",
      "sqlite:app.db",
      "sqlite://app.db",
      "sqlite:///",
      "sqlite3:////data/app.db",
      " sqlite:////data/app.db",
      "postgres://localhost/app",
      "sqlite:////data\0.db",
    ],
    RETENTION_DAYS: [
      "0",
      "-1",
      "1.5",
      "1e3",
      "07",
      " 7",
      "7\n",
      "10000000",
      "7d",
    ],
    LOG_LEVEL: ["TRACE", "WARN", "INFO ", "INFO\n", "1", "ınfo", "WARNıNG"],
    HOST: ["a b", "http://localhost", "[::1]", "localhost\n", "host/path"],
    PORT: ["0", "65536", "-1", "1.5", "1e3", "0x50", " 80", "80\n", "http"],
  };
  for (const [variable, values] of Object.entries(refused)) {
    for (const value of values) {
      const { faults, message } = errorFrom({ [variable]: value });
      assert.equal(faults.length, 1);
      assert.equal(faults[0].variable, variable);
      assert.equal(faults[0].value, value);
      assert.equal(
        message,
        `Cannot use ${variable}="${value}" (expected ${faults[0].expected})`,
      );
    }
  }
});

Deno.test("readConfig() names every variable when several can't be used", () => {
  const variables = {
    DATABASE_URL: "mysql://db",
    RETENTION_DAYS: "0",
    LOG_LEVEL: "LOUD",
    HOST: "a b",
    PORT: "0",
  };
  const { faults, message } = errorFrom(variables);
  assert.deepEqual(
    Object.fromEntries(faults.map(({ variable, value }) => [variable, value])),
    variables,
  );
  for (const [variable, value] of Object.entries(variables)) {
    assert(message.includes(`${variable}="${value}"`), message);
  }
});

Deno.test("readConfig() keeps the password back when a refused URL holds one", () => {
  const urls: [url: string, value: string][] = [
    ["mysql://app:hunter2@db/x", "mysql://***@db/x"],
    ["redis://:hunter2@db", "redis://***@db"],
    ["redis://hunter2@db", "redis://***@db"],
    ["pg://app:@hunter2:/@db/x", "pg://***@db/x"],
    ["pg://app:hunter2\n@db/x", "pg://***@db/x"],
    ["app:hunter2@db/x", "***@db/x"],
    ["pg://db/x?user=app&password=hunter2", "pg://db/x?***"],
    ["pg://app:hunter2@db/x?password=hunter2#\n?", "pg://***@db/x?***"],
    ["pg://db/x?password=hunter2@", "pg://***@"],
  ];
  for (const [url, value] of urls) {
    const { faults, message } = errorFrom({ DATABASE_URL: url });
    assert.equal(faults[0].value, value);
    assert(!message.includes("hunter2"), message);
  }
});

Deno.test("readConfig() keeps the secret back when something else can't be used", () => {
  const { faults, message } = errorFrom({
    ...Object.fromEntries(secretNames.map((name) => [name, "s3cret"])),
    PORT: "x",
  });
  assert.deepEqual(faults.map(({ variable }) => variable), ["PORT"]);
  assert(!message.includes("s3cret"), message);
});

/** A file with this content, for as long as it is in use. */
class TempFile implements Disposable {
  readonly path = Deno.makeTempFileSync();

  constructor(content: string | Uint8Array) {
    Deno.writeFileSync(
      this.path,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path);
  }
}

Deno.test("readConfig() takes a secret from a file, without one newline at its end", () => {
  const contents: [content: string, secret: string][] = [
    ["s3cret", "s3cret"],
    ["s3cret\n", "s3cret"],
    ["s3cret\r\n", "s3cret"],
    ["s3cret\n\n", "s3cret\n"],
    ["\ns3cret ", "\ns3cret "],
    ["\ufefffür", "\ufefffür"],
    [" \n", " "],
  ];
  for (const [content, secret] of contents) {
    using file = new TempFile(content);
    for (const name of secretNames) {
      for (const variable of ["", undefined]) {
        const variables = {
          [`${name}_FILE`]: file.path,
          ...(variable !== undefined && { [name]: variable }),
        };
        assert.deepEqual(read(variables).secrets, secrets({ [name]: secret }));
      }
    }
  }
});

Deno.test("readConfig() takes the variable when that of its file is empty", () => {
  const variables = { WEBHOOK_SECRET: "s3cret", WEBHOOK_SECRET_FILE: "" };
  assert.deepEqual(
    read(variables).secrets,
    secrets({ WEBHOOK_SECRET: "s3cret" }),
  );
});

Deno.test("readConfig() throws with the path when a secret's file can't be used", () => {
  using empty = new TempFile("");
  using newline = new TempFile("\n");
  using latin1 = new TempFile(new Uint8Array([0x66, 0xfc, 0x72]));
  const missing = `${empty.path}.missing`;
  const expected: [path: string, words: RegExp][] = [
    [empty.path, /^a file that is not empty$/],
    [newline.path, /^a file that is not empty$/],
    [latin1.path, /^a readable file of UTF-8 text; .*not valid$/],
    [missing, /^a readable file of UTF-8 text; No such file [^:]+$/],
    [Deno.cwd(), /^a readable file of UTF-8 text; Is a directory [^:]+$/],
  ];
  for (const [path, words] of expected) {
    for (const name of secretNames) {
      const { faults } = errorFrom({ [`${name}_FILE`]: path });
      assert.deepEqual(
        faults.map(({ variable, value }) => [variable, value]),
        [[`${name}_FILE`, path]],
      );
      assert.match(faults[0].expected, words);
    }
  }
});

Deno.test("readConfig() throws when a secret is set beside its file, and names it with all others", () => {
  using file = new TempFile("s3cret in the file");
  const { faults, message } = errorFrom({
    WEBHOOK_SECRET: "s3cret in the variable",
    WEBHOOK_SECRET_FILE: file.path,
    WHATSAPP_VERIFY_TOKEN_FILE: `${file.path}.missing`,
    PORT: "0",
  });
  assert.deepEqual(
    faults.map(({ variable, value }) => [variable, value]),
    [
      ["WEBHOOK_SECRET_FILE", file.path],
      ["WHATSAPP_VERIFY_TOKEN_FILE", `${file.path}.missing`],
      ["PORT", "0"],
    ],
  );
  assert(message.includes("(expected nothing beside WEBHOOK_SECRET)"));
  assert(!message.includes("s3cret"), message);
});

Deno.test("readConfig() keeps back what may be a secret in the place of its file's path", () => {
  for (const value of ["hunter2", "hunter2/x", "hunter2\0"]) {
    const { faults, message } = errorFrom({ WEBHOOK_SECRET_FILE: value });
    assert.equal(faults[0].value, "***");
    assert(!message.includes("hunter2"), message);
  }
});

Deno.test("readConfig() reads exactly what --allow-env in deno.json allows", () => {
  const names: string[] = [];
  readConfig((name) => {
    names.push(name);
    return undefined;
  });
  const [, list] = denoConfig.tasks.permissions.command.match(
    /--allow-env=(\S+)/,
  )!;
  assert.deepEqual(list.split(",").sort(), names.sort());
});

Deno.test("localUrl() gives an address to connect to when the server listens anywhere", () => {
  const urls: [host: string, url: string][] = [
    ["0.0.0.0", "http://127.0.0.1:8000"],
    ["::", "http://[::1]:8000"],
    ["127.0.0.2", "http://127.0.0.2:8000"],
    ["::1", "http://[::1]:8000"],
    ["inbox.example", "http://inbox.example:8000"],
  ];
  for (const [host, url] of urls) {
    assert.equal(localUrl(read({ HOST: host })), url);
  }
});
