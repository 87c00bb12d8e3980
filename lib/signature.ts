/**
 * HMAC-SHA256 signatures over the raw bytes of a body.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** The reasons for which a signature is refused. */
export const signatureFaults = ["missing", "malformed", "mismatch"] as const;

/** What {@linkcode verify} says of a signature. */
export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: typeof signatureFaults[number] };

const hmacSha256 = { name: "HMAC", hash: "SHA-256" };

/** Prepares a shared secret, as UTF-8 bytes, to verify and sign with. */
export function importKey(secret: string): Promise<CryptoKey> {
  return crypto.subtle.importKey(
    "raw",
    new TextEncoder().encode(secret),
    hmacSha256,
    false,
    ["sign", "verify"],
  );
}

/**
 * Checks a signature header against the bytes it was made for, in constant time.
 *
 * @param header 64 hex digits in either case, or `null` where there is none.
 */
export async function verify(
  key: CryptoKey,
  bytes: Uint8Array<ArrayBuffer>,
  header: string | null,
): Promise<Verdict> {
  if (header === null) return { ok: false, reason: "missing" };
  if (!/^[0-9a-fA-F]{64}$/.test(header)) {
    return { ok: false, reason: "malformed" };
  }
  const signature = Buffer.from(header, "hex");
  // WebCrypto compares in constant time: https://w3c.github.io/webcrypto/#hmac-operations-verify
  return await crypto.subtle.verify("HMAC", key, signature, bytes)
    ? { ok: true }
    : { ok: false, reason: "mismatch" };
}

/** Signs the bytes: 64 lower-case hex digits, the value of `X-Signature`. */
export async function sign(
  key: CryptoKey,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", key, bytes);
  return Buffer.from(signature).toString("hex");
}
