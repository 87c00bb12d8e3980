/**
 * Deliveries of every kind at a given rate, beside clients that read, that are slow
 * and that vanish; and a ledger of what was acknowledged.
 *
 * @module
 */

import { setTimeout as delay } from "node:timers/promises";
import { signatureOf, type TestServer, whatsappBody } from "../harness.ts";
import { frequentSender, messageAt, searches } from "./data.ts";

/** How many deliveries are on their way at once, at most. */
const connections = 64;
/** One that couldn't be sent for so long is left out. */
const maxDelayMs = 1000;
const maxMessagesPerDelivery = 5;

/** Of a hundred deliveries. */
const mix = {
  simple: 68,
  whatsapp: 12,
  repeated: 10,
  forged: 4,
  malformed: 4,
  vanishing: 2,
} as const;

/** Those who send a body in pieces. */
const slowClients = 8;
const pieces = 20;
const pieceIntervalMs = 100;

/** What a repetition says in the place of the text: no row may have it. */
export const repeatedText = "not the first";
const idPrefix = "soak-";

/** The id of the `n`th message that is to be stored. */
function idOf(n: number): string {
  return idPrefix + n;
}

/** The number of a message, or `NaN` if it was not to be stored. */
export function numberOf(id: string): number {
  return id.startsWith(idPrefix) ? Number(id.slice(idPrefix.length)) : NaN;
}

/** Up to below `count`. */
function random(count: number): number {
  return Math.floor(Math.random() * count);
}

/** A load on a server, with all that is to be known of it afterwards. */
export class MixedLoad {
  /** How many messages were sent that are to be stored: numbers from 0. */
  sent = 0;
  /** 1 at the number of each that was acknowledged. */
  acknowledged = new Uint8Array(1 << 20);
  /** How many deliveries were answered as they should be. */
  answered = 0;
  /** How long deliveries waited that were stored, in ms; to be emptied. */
  waitsMs: number[] = [];
  /** How many requests were answered with 503 and Retry-After. */
  unavailable = 0;
  /** What should not have happened, and how often. */
  readonly faults = new Map<string, number>();
  #endMs = 0;
  #nextMs = 0;
  #isStopped = false;

  constructor(private readonly server: TestServer) {}

  /** Delivers and reads for so long, with so many deliveries a second. */
  async run(perSecond: number, forMs: number): Promise<void> {
    this.#nextMs = performance.now();
    this.#endMs = this.#nextMs + forMs;
    const kinds = Object.entries(mix).flatMap(([kind, share]) =>
      Array<keyof typeof mix>(share).fill(kind as keyof typeof mix)
    );
    const deliver = async () => {
      await this.#turn(1000 / perSecond);
      const kind = kinds[random(kinds.length)];
      await this.#try(kind, () => this.#deliveries[kind]());
    };
    // There is something to repeat and to ask for.
    await this.#try("simple", () => this.#deliveries.simple());
    await Promise.all([
      ...Array.from({ length: connections }, () => this.#repeat(0, deliver)),
      ...Array.from(
        { length: slowClients },
        () => this.#repeat(0, () => this.#try("slow", () => this.#slow())),
      ),
      this.#read(50, () => `/messages?offset=${random(this.sent)}`),
      this.#read(100, () => `/messages?from=${frequentSender}&limit=100`),
      this.#read(500, () => `/messages?q=${searches.common}`),
      this.#read(500, () => `/messages?q=${searches["rare code"]}`),
      this.#read(100, () => `/messages/${idOf(this.#someAcknowledged())}`),
      this.#read(500, () => "/events?kind=status"),
      this.#read(200, () => "/stats"),
      this.#read(1000, () => "/health/ready"),
      this.#read(1000, () => "/metrics"),
    ]);
  }

  /** Ends it before its time, for good. */
  stop(): void {
    this.#isStopped = true;
  }

  #addFault(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  async #repeat(pauseMs: number, work: () => Promise<void>): Promise<void> {
    while (performance.now() < this.#endMs && !this.#isStopped) {
      await work();
      await delay(pauseMs);
    }
  }

  /** Waits until the next delivery is due. */
  async #turn(intervalMs: number): Promise<void> {
    const nowMs = performance.now();
    const turnMs = Math.max(this.#nextMs, nowMs - maxDelayMs);
    this.#nextMs = turnMs + intervalMs;
    if (turnMs > nowMs) await delay(turnMs - nowMs);
  }

  async #try(name: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#addFault(`${name}: ${(error as Error).message}`);
    }
  }

  #read(pauseMs: number, path: () => string): Promise<void> {
    return this.#repeat(pauseMs, () =>
      this.#try("reading", async () => {
        const asked = path();
        const response = await this.server.fetch(asked);
        await response.bytes();
        this.#check(asked.split("?")[0], 200, response);
      }));
  }

  /** @returns Whether it is what was to be answered. */
  #check(
    name: string,
    expected: number,
    { status, headers }: Pick<Response, "status" | "headers">,
  ): boolean {
    if (status === expected) return true;
    if (status === 503 && headers.has("retry-after")) this.unavailable++;
    else this.#addFault(`${name}: ${status} where ${expected} is right`);
    return false;
  }

  /** Posts a delivery with these messages. */
  async #post(
    name: string,
    post: () => Promise<Response>,
    numbers: readonly number[] = [],
    expected = 200,
  ): Promise<void> {
    const startMs = performance.now();
    const response = await post();
    await response.bytes();
    if (!this.#check(name, expected, response)) return;
    this.answered++;
    this.#acknowledge(numbers);
    if (expected === 200) this.waitsMs.push(performance.now() - startMs);
  }

  readonly #deliveries: Record<keyof typeof mix, () => Promise<void>> = {
    simple: () => {
      const n = this.sent++;
      const body = JSON.stringify({ ...messageAt(n), message_id: idOf(n) });
      return this.#post("simple", () => this.server.post(body), [n]);
    },
    whatsapp: () => {
      const count = 1 + random(maxMessagesPerDelivery);
      const numbers = Array.from({ length: count }, () => this.sent++);
      const body = whatsappDelivery(numbers);
      return this.#post(
        "whatsapp",
        () => this.server.postWhatsapp(body),
        numbers,
      );
    },
    repeated: () => {
      const n = this.#someAcknowledged();
      const repetition = { message_id: idOf(n), text: repeatedText };
      const body = JSON.stringify({ ...messageAt(n), ...repetition });
      return this.#post("repeated", () => this.server.post(body));
    },
    forged: () => {
      const body = JSON.stringify(unwanted());
      const headers = { "x-signature": signatureOf(body, "another secret") };
      const post = () => this.server.post(body, headers);
      return this.#post("forged", post, [], 401);
    },
    malformed: () => {
      const body = random(2) === 0
        ? JSON.stringify({ ...unwanted(), to: "" })
        : JSON.stringify(unwanted()).slice(0, -1);
      return this.#post("malformed", () => this.server.post(body), [], 422);
    },
    vanishing: async () => {
      const { head, body } = rawRequest(unwanted());
      using _connection = await this.server.send(head + body.slice(0, -9));
    },
  };

  async #slow(): Promise<void> {
    const n = this.sent++;
    const { head, body } = rawRequest({
      ...messageAt(n),
      message_id: idOf(n),
      text: "slow",
    });
    using connection = await this.server.send(head);
    const size = Math.ceil(body.length / pieces);
    for (let start = 0; start < body.length; start += size) {
      await connection.write(body.slice(start, start + size));
      await delay(pieceIntervalMs);
    }
    let answer = "";
    for (let text; (text = await connection.read()) !== "";) answer += text;
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
    const retryAfter = /^retry-after: .+$/im.exec(answer)?.[0].split(": ");
    const headers = new Headers(retryAfter && [retryAfter]);
    if (!this.#check("slow", 200, { status, headers })) return;
    this.answered++;
    this.#acknowledge([n]);
  }

  #acknowledge(numbers: readonly number[]): void {
    while (this.sent > this.acknowledged.length) {
      const larger = new Uint8Array(2 * this.acknowledged.length);
      larger.set(this.acknowledged);
      this.acknowledged = larger;
    }
    for (const n of numbers) this.acknowledged[n] = 1;
  }

  /** The number of a message that was acknowledged, whichever. */
  #someAcknowledged(): number {
    const n = this.acknowledged.lastIndexOf(1, random(this.sent));
    return n >= 0 ? n : this.acknowledged.indexOf(1);
  }
}

/** A message that is never to be stored. */
function unwanted() {
  return { ...messageAt(0), message_id: "unwanted" };
}

/** A delivery of the WhatsApp Cloud API with these messages, and with a status. */
function whatsappDelivery(numbers: readonly number[]): string {
  const messages = numbers.map((n) => {
    const { from, text } = messageAt(n);
    return {
      from: from.slice(1),
      id: idOf(n),
      timestamp: `${Math.floor(Date.now() / 1000)}`,
      type: "text",
      text: { body: text },
    };
  });
  const { id, from: recipient_id, timestamp } = messages[0];
  return whatsappBody({
    messages,
    statuses: [{ id, recipient_id, timestamp, status: "delivered" }],
  });
}

/** A request as it is on the wire, signed, for a connection of its own. */
function rawRequest(fields: Record<string, unknown>) {
  const body = JSON.stringify(fields);
  const size = new TextEncoder().encode(body).length;
  const head = "POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
    `Connection: close\r\nContent-Length: ${size}\r\n` +
    `X-Signature: ${signatureOf(body)}\r\n\r\n`;
  return { head, body };
}
