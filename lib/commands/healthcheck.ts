/**
 * `healthcheck`: whether the server on this machine is ready, for containers
 * and scripts without `curl`.
 *
 * @module
 */

import { localUrl, readConfig } from "../config.ts";
import type { Command } from "./command.ts";

const timeoutMs = 3000;

/** Asks `GET /health/ready` of the server with this configuration. */
export const healthcheckCommand: Command = {
  operands: [],
  summary: "Exit with 0 if the server on this machine is ready, else with 1",
  options: {},
  help: `Usage: whatsapp-inbox healthcheck

Asks GET /health/ready of the server that listens on HOST and PORT, and prints
what it says.

Options:
  -h, --help  Print this text

Exit codes:
  0  It is ready
  1  It is not, or gives no answer within ${timeoutMs / 1000} s
  2  Wrong arguments`,

  async run() {
    const url = `${localUrl(readConfig())}/health/ready`;
    try {
      const response = await fetch(url, {
        signal: AbortSignal.timeout(timeoutMs),
      });
      const body = await response.json();
      console.log(body.status ?? body.detail);
      return response.ok ? 0 : 1;
    } catch (error) {
      console.error(`No answer from ${url}: ${(error as Error).message}`);
      return 1;
    }
  },
};
