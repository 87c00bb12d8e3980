/**
 * Whole-server tests: the server as a process, spoken to over real HTTP.
 *
 * The command to start is `deno task start`'s own, or `SERVER_COMMAND`, such as
 * the path of the compiled executable.
 *
 * @module
 */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import denoConfig from "../deno.json" with { type: "json" };

export const secret = "s3cret-für-tests";
export const whatsappSecret = "4pp-s3cret";
export const verifyToken = "v3rify/token";

/** A line of the server's log. */
export type LogLine = Record<string, unknown> & { ts: string; level: string };

/** A valid message, with other fields where a test needs them. */
export function message(fields: Record<string, unknown> = {}) {
  return {
    message_id: crypto.randomUUID() as string,
    from: "+919876543210",
    to: "+14155550100",
    ts: "2025-01-15T10:00:00Z",
    text: "Hello",
    ...fields,
  };
}

/** A delivery of the WhatsApp Cloud API with this content of a change. */
export function whatsappBody(value: Record<string, unknown>): string {
  return JSON.stringify({
    object: "whatsapp_business_account",
    entry: [{
      id: "1",
      changes: [{
        field: "messages",
        value: {
          messaging_product: "whatsapp",
          metadata: { display_phone_number: "14155550100" },
          ...value,
        },
      }],
    }],
  });
}

/** `X-Signature`, made without the project's code. */
export function signatureOf(body: string | Uint8Array, key = secret): string {
  return createHmac("sha256", key).update(body).digest("hex");
}

/** The server's command line, before the arguments of its own. */
export function serverCommand(): string[] {
  const command = Deno.env.get("SERVER_COMMAND");
  if (command) return command.split(" ");
  const { start, permissions } = denoConfig.tasks;
  const [deno, ...args] = start.command.replace(
    "$(deno task --quiet permissions)",
    permissions.command.replace("echo ", ""),
  ).split(" ");
  assert.equal(deno, "deno");
  return [Deno.execPath(), ...args];
}

export interface RunOptions {
  args: readonly string[];
  env?: Record<string, string>;
  stdin?: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Starts the program, with nothing in its environment but `env`. */
export function spawn({ args, env = {} }: RunOptions): Deno.ChildProcess {
  const [command, ...flags] = serverCommand();
  const { PATH = "", HOME = "", DENO_DIR = "" } = Deno.env.toObject();
  return new Deno.Command(command, {
    args: [...flags, ...args],
    clearEnv: true,
    env: { PATH, HOME, ...(DENO_DIR && { DENO_DIR }), ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the program to its end. */
export async function run(options: RunOptions) {
  const process = spawn(options);
  const input = new Response(options.stdin).body ?? new Blob().stream();
  const fed = input.pipeTo(process.stdin)
    // A program that ends without reading closes the pipe.
    .catch(() => {});
  const { code, stdout, stderr } = await process.output();
  await fed;
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

/**
 * Starts the program at a terminal of its own; what it shows there comes on
 * stdout.
 *
 * @param redirection What the shell is to redirect.
 */
export function spawnAtTerminal(
  { args, env = {} }: RunOptions,
  redirection = "",
): Deno.ChildProcess {
  const words = [...serverCommand(), ...args].map((word) =>
    `'${word.replaceAll("'", "'\\''")}'`
  );
  return new Deno.Command("script", {
    args: ["-qec", `exec ${words.join(" ")} ${redirection}`, "/dev/null"],
    env,
    stdin: "null",
    stdout: "piped",
  }).spawn();
}

/** `true` where tests that need a command are left out; CI must have it. */
export function lacks(command: string): boolean {
  if (Deno.env.get("CI") !== undefined) return false;
  try {
    new Deno.Command(command, { args: ["--version"] }).outputSync();
    return false;
  } catch {
    return true;
  }
}

/** A port nobody listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A connection for bytes that no HTTP client would send. */
export class RawConnection implements Disposable {
  constructor(private readonly connection: Deno.TcpConn) {}

  async write(text: string): Promise<void> {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) {
      bytes = bytes.subarray(await this.connection.write(bytes));
    }
  }

  /** The next bytes that come, or "" at the end. */
  async read(): Promise<string> {
    const chunk = new Uint8Array(65536);
    const size = await this.connection.read(chunk);
    return new TextDecoder().decode(chunk.subarray(0, size ?? 0));
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

export interface StartOptions {
  /** Variables besides the usual ones; `undefined` removes one. */
  env?: Record<string, string | undefined>;
  /** Which log line to wait for; by default both that make it ready. */
  until?: readonly string[];
  /** A shell command that runs the server, its "$@", under some condition. */
  shell?: string;
  /** Arguments of the server's own. */
  args?: readonly string[];
  /** What stderr must hold in the end; by default nothing. */
  stderr?: RegExp;
  /** The folder of the database; by default a new one that is removed at the end. */
  dir?: string;
}

/** A server process. Disposing of it stops it and checks its whole log. */
export class TestServer implements AsyncDisposable {
  readonly log: LogLine[] = [];
  /** Lines of stdout that are no log lines. */
  readonly noise: string[] = [];
  readonly #process: Deno.ChildProcess;
  readonly #stderr: Promise<string>;
  readonly #stdoutEnd: Promise<void>;
  readonly #watchers = new Set<() => void>();

  private constructor(
    process: Deno.ChildProcess,
    readonly port: number,
    readonly dir: string,
    private readonly ownsDir: boolean,
    private readonly expectedStderr: RegExp,
  ) {
    this.#process = process;
    this.#stderr = new Response(process.stderr).text();
    this.#stdoutEnd = this.#readLog();
  }

  static async start(
    {
      env = {},
      until = ["listening", "database open"],
      shell,
      args: ownArgs = [],
      stderr = /^$/,
      dir,
    }: StartOptions = {},
  ): Promise<TestServer> {
    const ownsDir = dir === undefined;
    dir ??= await Deno.makeTempDir();
    const port = freePort();
    const [command, ...args] = [
      ...(shell === undefined ? [] : ["sh", "-c", shell, "sh"]),
      ...serverCommand(),
    ];
    const variables: Record<string, string | undefined> = {
      PATH: Deno.env.get("PATH"),
      HOME: Deno.env.get("HOME"),
      DENO_DIR: Deno.env.get("DENO_DIR"),
      HOST: "127.0.0.1",
      PORT: `${port}`,
      WEBHOOK_SECRET: secret,
      WHATSAPP_APP_SECRET: whatsappSecret,
      WHATSAPP_VERIFY_TOKEN: verifyToken,
      DATABASE_URL: `sqlite:///${dir}/app.db`,
      ...env,
    };
    const process = new Deno.Command(command, {
      args: [...args, ...ownArgs],
      clearEnv: true,
      env: Object.fromEntries(
        Object.entries(variables).filter(([, value]) => value !== undefined),
      ) as Record<string, string>,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const server = new TestServer(process, port, dir, ownsDir, stderr);
    for (const text of until) await server.logged(text);
    return server;
  }

  /** The process id, also behind a shell command that ends with `exec "$@"`. */
  get pid(): number {
    return this.#process.pid;
  }

  get databasePath(): string {
    return `${this.dir}/app.db`;
  }

  /** Resolves with the first log line that has this message or passes this test. */
  async logged(
    wanted: string | ((line: LogLine) => boolean),
  ): Promise<LogLine> {
    return (await this.loggedTimes(1, wanted))[0];
  }

  /** Resolves with all such log lines once there are so many. */
  loggedTimes(
    count: number,
    wanted: string | ((line: LogLine) => boolean),
  ): Promise<LogLine[]> {
    const test = typeof wanted === "string"
      ? (line: LogLine) => line.message === wanted
      : wanted;
    return new Promise((resolve, reject) => {
      const look = () => {
        const lines = this.log.filter(test);
        if (lines.length < count) return;
        this.#watchers.delete(look);
        resolve(lines);
      };
      this.#watchers.add(look);
      look();
      this.#stdoutEnd.then(async () =>
        reject(new Error(`not logged: ${wanted}; ${await this.#stderr}`))
      );
    });
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, init);
  }

  /** Asks until it is ready, where its log can't tell. */
  async ready(): Promise<void> {
    for (;;) {
      try {
        const response = await this.fetch("/health/ready");
        await response.body?.cancel();
        if (response.ok) return;
      } catch {
        // Nobody listens yet.
      }
    }
  }

  /** `GET` of a JSON resource that must be there. */
  async get<T = Record<string, unknown>>(path: string): Promise<T> {
    const response = await this.fetch(path);
    assert.equal(response.status, 200, path);
    return await response.json();
  }

  /** Posts a body, signed unless the headers say otherwise. */
  post(
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = { "x-signature": signatureOf(body) },
  ): Promise<Response> {
    return this.fetch("/webhook", { method: "POST", body, headers });
  }

  /** Delivers a message and returns the status. */
  async deliver(fields: Record<string, unknown>): Promise<number> {
    const response = await this.post(JSON.stringify(fields));
    await response.body?.cancel();
    return response.status;
  }

  /** Posts a body as the WhatsApp Cloud API does. */
  postWhatsapp(
    body: string | Uint8Array<ArrayBuffer>,
    signature = `sha256=${signatureOf(body, whatsappSecret)}`,
  ): Promise<Response> {
    return this.fetch("/webhook/whatsapp", {
      method: "POST",
      body,
      headers: { "x-hub-signature-256": signature },
    });
  }

  /** The value of one series of `/metrics`. */
  async metric(series: string): Promise<number> {
    const text = await (await this.fetch("/metrics")).text();
    const line = text.split("\n").find((line) => line.startsWith(`${series} `));
    assert(line !== undefined, `no series ${series}`);
    return Number(line.slice(series.length));
  }

  /** Opens a connection and sends this as it is. */
  async send(text: string): Promise<RawConnection> {
    const connection = new RawConnection(
      await Deno.connect({ hostname: "127.0.0.1", port: this.port }),
    );
    await connection.write(text);
    return connection;
  }

  /** Looks into the database file while the server runs, or after it. */
  query<T = Record<string, unknown>>(sql: string): T[] {
    const db = new DatabaseSync(this.databasePath);
    try {
      return db.prepare(sql).all() as T[];
    } finally {
      db.close();
    }
  }

  signal(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Waits until the process has ended: its exit code, and what it wrote on stderr. */
  async ended(): Promise<{ code: number; stderr: string }> {
    const { code } = await this.#process.status;
    await this.#stdoutEnd;
    return { code, stderr: await this.#stderr };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    const { stderr } = await this.ended();
    if (this.ownsDir) await Deno.remove(this.dir, { recursive: true });
    assert.deepEqual(this.noise, [], "stdout holds nothing but log lines");
    const log = JSON.stringify(this.log);
    for (const hidden of [secret, whatsappSecret, verifyToken]) {
      assert(!log.includes(hidden), "no secret in the log");
    }
    assert(!log.includes("Hello"), "no text of a message in the log");
    assert.match(stderr, this.expectedStderr);
  }

  async #readLog(): Promise<void> {
    let rest = "";
    for await (
      const chunk of this.#process.stdout.pipeThrough(new TextDecoderStream())
    ) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#addLine(line);
      for (const look of this.#watchers) look();
    }
    if (rest !== "") this.noise.push(rest);
  }

  #addLine(text: string): void {
    try {
      const line = JSON.parse(text) as LogLine;
      assert.match(line.ts, /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/);
      assert.match(line.level, /^(DEBUG|INFO|WARNING|ERROR)$/);
      // Some readers break lines at any Unicode line end.
      assert.equal(/[\x85\u2028\u2029]/.test(text), false);
      this.log.push(line);
    } catch {
      this.noise.push(text);
    }
  }
}
