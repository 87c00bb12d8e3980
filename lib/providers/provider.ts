/**
 * What a provider is: how its deliveries are verified, and how their bytes
 * become messages and events. A new one is a file like its neighbours and a line
 * in `providers.ts`.
 *
 * @module
 */

import type { Delivery } from "../message.ts";
import type { Verifier } from "../signature.ts";
import type { FieldError } from "../validation.ts";

/** Secrets by the names of their environment variables. */
export type Secrets = Readonly<Record<string, string | undefined>>;

/** What {@linkcode Provider.parse} makes of a body. */
export type ParsedBody =
  | { readonly ok: true; readonly delivery: Delivery }
  | {
    readonly ok: false;
    readonly errors: readonly FieldError[];
    /** The id of the message that is invalid, if at least that is valid. */
    readonly messageId?: string;
  };

/** A sender of webhooks with a format and a signature of its own. */
export interface Provider {
  /** Its name in metrics and logs. */
  readonly name: string;
  /** Where it delivers. */
  readonly path: string;
  readonly maxBodyBytes: number;
  /** The environment variables it needs; their values are never logged. */
  readonly secretVariables: readonly string[];
  /** Whether the service is not ready, and answers 503, without its secret;
   * else the route answers 404. */
  readonly isRequired: boolean;
  /** How its signatures are checked; `undefined` while its secret is not set. */
  verifier(secrets: Secrets): Promise<Verifier | undefined>;
  /** Reads a body that was verified; it never throws. */
  parse(bytes: Uint8Array): ParsedBody;
  /**
   * Answers a `GET` with which the provider makes sure that the URL is ours.
   *
   * @returns What to answer; `null` if it is somebody else's request,
   * `undefined` while its secret is not set.
   */
  handshake?(
    query: URLSearchParams,
    secrets: Secrets,
  ): string | null | undefined;
}
