/**
 * Deliveries as fast as a server takes them: signed beforehand, sent by wrk.
 *
 * @module
 */

import assert from "node:assert/strict";
import { secret, signatureOf } from "../harness.ts";
import { messageAt } from "./data.ts";

const threads = 2;
/** wrk doesn't wait longer for an answer. */
const timeoutS = 20;
/** More than any server here stores. */
const distinctPerSecond = 50_000;
/** How many requests of another kind there are, to be sent again and again. */
export const repeatedCount = 1000;

/** What is sent, by how many clients that wait for each answer, for how long. */
export interface Load {
  readonly kind: "distinct" | "repeated" | "forged";
  readonly connections: number;
  readonly seconds: number;
}

/** What wrk saw. */
export interface Answers {
  readonly count: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

function fileOf(kind: Load["kind"]): string {
  return `${Deno.env.get("TMPDIR")}/${kind}`;
}

/**
 * Signs requests, in place of earlier ones of that kind.
 *
 * @param first The number of the first message.
 * @param seconds How long they have to last.
 * @returns The number behind that of the last message.
 */
export async function prepare(
  kind: Load["kind"],
  first: number,
  seconds: number,
): Promise<number> {
  const count = kind === "distinct"
    ? seconds * distinctPerSecond
    : repeatedCount;
  for (let thread = 0; thread < threads; thread++) {
    const requests: string[] = [];
    for (let n = first + thread; n < first + count; n += threads) {
      const body = JSON.stringify(messageAt(n));
      const size = new TextEncoder().encode(body).length;
      const signature = signatureOf(
        body,
        kind === "forged" ? "another secret" : secret,
      );
      const head = "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
        `Content-Type: application/json\r\nContent-Length: ${size}\r\n` +
        `X-Signature: ${signature}\r\n\r\n`;
      requests.push(`${head.length + size}`.padStart(4, "0"), head, body);
    }
    await Deno.writeTextFile(`${fileOf(kind)}.${thread}`, requests.join(""));
  }
  return first + count;
}

/** Drives a server. It must refuse all that is forged, and nothing else. */
export async function drive(
  port: number,
  { kind, connections, seconds }: Load,
): Promise<Answers> {
  const { success, stdout, stderr } = await new Deno.Command("wrk", {
    args: [
      `--threads=${Math.min(threads, connections)}`,
      `--connections=${connections}`,
      `--duration=${seconds}s`,
      `--timeout=${timeoutS}s`,
      `--script=${import.meta.dirname}/wrk.lua`,
      `http://127.0.0.1:${port}`,
      "--",
      fileOf(kind),
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const [count, durationUs, p50Us, p99Us, refused, failed] = /^RESULT (.*)$/m
    .exec(new TextDecoder().decode(stdout))![1].split(" ").map(Number);
  assert.equal(failed, 0, "every request has an answer");
  assert.equal(refused, kind === "forged" ? count : 0);
  return {
    count,
    perSecond: count / (durationUs / 1e6),
    p50Ms: p50Us / 1000,
    p99Ms: p99Us / 1000,
  };
}
