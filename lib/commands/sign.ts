/**
 * `sign`: the signature of a body, for scripts and first tries.
 *
 * @module
 */

import type { Config } from "../config.ts";
import { importKey, sign } from "../signature.ts";

/**
 * Prints the `X-Signature` of a file's bytes, or of stdin's.
 *
 * @param file The file's path; `undefined` or `-` stands for stdin.
 * @returns The exit code: 0, or 1 if there is no secret or no such file.
 */
export async function printSignature(
  config: Config,
  file: string | undefined,
): Promise<number> {
  const secret = config.secrets.WEBHOOK_SECRET;
  if (secret === undefined) {
    console.error("Cannot sign: WEBHOOK_SECRET is not set");
    return 1;
  }
  let body: Uint8Array<ArrayBuffer>;
  try {
    body = file === undefined || file === "-"
      ? await new Response(Deno.stdin.readable).bytes()
      : await Deno.readFile(file);
  } catch (error) {
    console.error(`Cannot read ${file}: ${(error as Error).message}`);
    return 1;
  }
  const key = await importKey(secret);
  console.log(await sign(key, body));
  return 0;
}
