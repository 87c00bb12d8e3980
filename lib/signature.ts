/**
 * HMAC-SHA256 signatures over the raw bytes of a body.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** The reasons for which a signature is refused. */
export const signatureFaults = ["missing", "malformed", "mismatch"] as const;

/** What a {@linkcode Verifier} says of a request. */
export type Verdict =
  | {
    readonly ok: true;
    /** `true` if the signature was made with the secret before this one. */
    readonly withPrevious: boolean;
  }
  | { readonly ok: false; readonly reason: typeof signatureFaults[number] };

/** Checks a request's signature over the bytes of its body. */
export type Verifier = (
  request: Request,
  bytes: Uint8Array<ArrayBuffer>,
) => Promise<Verdict>;

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
 * A verifier of hex HMAC-SHA256 signatures, which compares in constant time.
 *
 * @param secret The secret; without it there is nothing to verify with.
 * @param previousSecret Is accepted too, while a secret is being changed.
 * @param signatureOf Takes the signature out of a request: 64 hex digits in
 * either case, anything else is malformed.
 */
export async function hmacVerifier(
  secret: string | undefined,
  previousSecret: string | undefined,
  signatureOf: (request: Request) => string | null,
): Promise<Verifier | undefined> {
  if (secret === undefined) return undefined;
  const key = await importKey(secret);
  const previousKey = previousSecret === undefined
    ? undefined
    : await importKey(previousSecret);
  return async (request, bytes) => {
    const hex = signatureOf(request);
    if (hex === null) return { ok: false, reason: "missing" };
    if (!/^[0-9a-fA-F]{64}$/.test(hex)) {
      return { ok: false, reason: "malformed" };
    }
    const signature = Buffer.from(hex, "hex");
    // WebCrypto's comparison takes the same time whatever it compares.
    if (await crypto.subtle.verify("HMAC", key, signature, bytes)) {
      return { ok: true, withPrevious: false };
    }
    if (
      previousKey !== undefined &&
      await crypto.subtle.verify("HMAC", previousKey, signature, bytes)
    ) return { ok: true, withPrevious: true };
    return { ok: false, reason: "mismatch" };
  };
}

/** Signs the bytes: 64 lower-case hex digits, the value of `X-Signature`. */
export async function sign(
  key: CryptoKey,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", key, bytes);
  return Buffer.from(signature).toString("hex");
}
