/**
 * The providers that deliver to this service.
 *
 * @module
 */

import type { Provider } from "./provider.ts";
import { simple } from "./simple.ts";
import { whatsapp } from "./whatsapp.ts";

/** One line for each. */
export const providers: readonly Provider[] = [
  simple,
  whatsapp,
];
