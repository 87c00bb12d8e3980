/**
 * `sign`: the signature of a body, for scripts and first tries.
 *
 * @module
 */

import { readConfig } from "../config.ts";
import { importKey, sign } from "../signature.ts";
import type { Command } from "./command.ts";
import { openInput } from "./input.ts";

/** Prints the `X-Signature` of a file's bytes, or of stdin's. */
export const signCommand: Command = {
  operands: ["[FILE]"],
  summary: "Print the X-Signature of a body, from FILE or stdin",
  options: {},
  help: `Usage: whatsapp-inbox sign [FILE]

Prints the X-Signature of a body: the HMAC-SHA256 of its exact bytes with
WEBHOOK_SECRET, as 64 hex digits. FILE is the body; without it, or as -, the
body comes from stdin.

Options:
  -h, --help  Print this text

Exit codes:
  0  The signature was printed
  1  WEBHOOK_SECRET is not set, or FILE can't be read
  2  Wrong arguments`,

  async run(_options, [file = "-"]) {
    const secret = readConfig().secrets.WEBHOOK_SECRET;
    if (secret === undefined) throw new Error("WEBHOOK_SECRET is not set");
    const body = await new Response(await openInput(file)).bytes();
    console.log(await sign(await importKey(secret), body));
    return 0;
  },
};
