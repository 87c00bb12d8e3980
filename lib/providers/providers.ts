/**
 * The providers that deliver to this service.
 *
 * @module
 */

import type { Provider, Secrets } from "./provider.ts";
import { simple } from "./simple.ts";
import { whatsapp } from "./whatsapp.ts";

/** One line for each. */
export const providers: readonly Provider[] = [
  simple,
  whatsapp,
];

/** What keeps the service from being ready: each required secret that is not set. */
export function missingSecrets(secrets: Secrets): string[] {
  return providers
    .filter(({ isRequired }) => isRequired)
    .map(({ secretVariables: [variable] }) => variable)
    .filter((variable) => secrets[variable] === undefined)
    .map((variable) => `${variable} is not set`);
}
