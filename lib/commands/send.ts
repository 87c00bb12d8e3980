/**
 * `send`: delivers a signed message, the first thing to try.
 *
 * @module
 */

import { localUrl, readConfig } from "../config.ts";
import { importKey, sign } from "../signature.ts";
import { type Command, UsageError } from "./command.ts";
import { exampleMessage } from "./example.ts";
import { openInput } from "./input.ts";

const timeoutMs = 10_000;
/** How much of a body is shown. */
const maxShownChars = 2000;

/** Signs a message, posts it to a running server and shows what came of it. */
export const sendCommand: Command<{ url: { type: "string" } }> = {
  operands: ["[FILE]"],
  summary: "Sign a message, post it to a running server, show the answer",
  options: { url: { type: "string" } },
  help: `Usage: whatsapp-inbox send [--url URL] [FILE]

Signs a message with WEBHOOK_SECRET, posts it to /webhook of a running server,
and prints what was sent and what was answered. FILE is the message, - stands
for stdin; without it a sample is sent, a new message each time.

Options:
      --url URL  The server (default: the one that listens on HOST and PORT)
  -h, --help     Print this text

Exit codes:
  0  The answer is 200: the message is stored
  1  It is not, there is no answer within ${
    timeoutMs / 1000
  } s, or no WEBHOOK_SECRET
  2  Wrong arguments`,

  async run({ url }, [file]) {
    const config = readConfig();
    const webhook = webhookUrl(url ?? localUrl(config));
    const secret = config.secrets.WEBHOOK_SECRET;
    if (secret === undefined) throw new Error("WEBHOOK_SECRET is not set");
    const body = file === undefined
      ? new TextEncoder().encode(exampleMessage())
      : await new Response(await openInput(file)).bytes();
    const signature = await sign(await importKey(secret), body);
    console.log(
      `POST ${webhook}\nX-Signature: ${signature}\n${
        shown(new TextDecoder().decode(body))
      }\n`,
    );
    try {
      const response = await fetch(webhook, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-signature": signature,
        },
        body,
        // A POST that is redirected arrives as a GET, without its body.
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      });
      const answer = await response.text();
      console.log(`${response.status} ${response.statusText}`.trim());
      if (answer !== "") console.log(shown(readable(answer)));
      if (response.status === 401) {
        console.error("Does the server have another WEBHOOK_SECRET?");
      }
      return response.status === 200 ? 0 : 1;
    } catch (error) {
      console.error(`No answer from ${webhook}: ${(error as Error).message}`);
      return 1;
    }
  },
};

/** @throws {UsageError} If that is no HTTP URL. */
function webhookUrl(server: string): string {
  const url = URL.parse(server);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`Cannot use --url '${server}': no HTTP URL`);
  }
  url.pathname = `${url.pathname.replace(/\/$/, "")}/webhook`;
  return url.href;
}

/** Long JSON gets a line for each member. */
function readable(answer: string): string {
  if (answer.length <= 80) return answer;
  try {
    return JSON.stringify(JSON.parse(answer), null, 2);
  } catch {
    return answer;
  }
}

function shown(text: string): string {
  return text.length <= maxShownChars
    ? text
    : `${text.slice(0, maxShownChars)}... (${text.length} characters)`;
}
