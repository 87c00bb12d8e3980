/**
 * `healthcheck`: whether the server on this machine is ready, for containers
 * and scripts without `curl`.
 *
 * @module
 */

import { type Config, localUrl } from "../config.ts";

const timeoutMs = 3000;

/**
 * Asks `GET /health/ready` of the server with this configuration.
 *
 * @returns The exit code: 0 if it is ready, 1 if it is not or gives no answer.
 */
export async function healthcheck(config: Config): Promise<number> {
  const url = `${localUrl(config)}/health/ready`;
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
}
