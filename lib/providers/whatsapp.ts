/**
 * Meta's WhatsApp Cloud API: batches of messages, statuses and other events.
 *
 * Meta repeats a body for days until it gets a 200, in any order. So whatever is
 * signed and is JSON is stored: messages as messages, all else as events. A
 * refusal would only come back.
 *
 * @see https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { canonicalJson, elementsOf, membersOf, parseJson } from "../json.ts";
import {
  type DeliveredEvent,
  type DeliveredMessage,
  type Delivery,
  isMessageId,
  isStorable,
} from "../message.ts";
import { hmacVerifier } from "../signature.ts";
import type { Provider } from "./provider.ts";

/** Where something stands in a delivery, as far as it tells two things apart. */
interface Place {
  /** The canonical JSON of the entry's `id` and `time`; "" where there is none. */
  readonly entryId: string;
  readonly entryTime: string;
  /** The entry's `time` in milliseconds since the Unix epoch. */
  readonly entryMs: number | undefined;
  readonly field: string;
}

/** What the messages of one change have in common. */
interface Conversation {
  readonly businessNumber: string | undefined;
  readonly contacts: readonly unknown[];
}

/** The lists whose elements are messages; in the second the business wrote them. */
const messageLists = ["messages", "message_echoes"];
const elementLists = [...messageLists, "statuses"];
/** Members that say where a delivery comes from, not what happened. */
const envelope = {
  body: ["object", "entry"],
  entry: ["id", "time", "changes"],
  change: ["field", "value"],
  value: ["messaging_product", "metadata", "contacts"],
};
/**
 * A body of more elements than any of Meta's can hold is kept as one event: a
 * million rows in one transaction would hold up everybody else.
 */
const maxRows = 20_000;
/**
 * What messages share is stored with each of them: names longer than any of Meta's
 * are cut to so many UTF-16 units, longer ids or numbers stand for nobody.
 */
const maxSharedLength = 512;
/** What an event is called when nothing in the delivery names it. */
const unknownKind = "unknown";
const nowhere: Place = {
  entryId: "",
  entryTime: "",
  entryMs: undefined,
  field: unknownKind,
};

function readDelivery(json: string): Delivery {
  const reader = new DeliveryReader();
  reader.readBody(json);
  if (reader.count > 0 && reader.count <= maxRows) return reader;
  const whole = new DeliveryReader();
  whole.addEvent(unknownKind, json);
  return whole;
}

/** Gathers what one body holds; it stops soon after there is too much of it. */
class DeliveryReader {
  readonly messages: DeliveredMessage[] = [];
  readonly events: DeliveredEvent[] = [];
  readonly #receivedMs = Date.now();

  readBody(json: string): void {
    const body = membersOf(json);
    const entries = elementsOf(body?.get("entry")) ?? [];
    for (const entry of entries) {
      if (this.#isFull) return;
      this.#readEntry(entry);
    }
    if (body !== undefined && entries.length > 0) {
      this.#readOthers(body, envelope.body, nowhere);
    }
  }

  #readEntry(json: string): void {
    const entry = membersOf(json);
    const changes = elementsOf(entry?.get("changes")) ?? [];
    if (entry === undefined || changes.length === 0) {
      return this.addEvent(unknownKind, json);
    }
    const place = {
      entryId: canonicalJson(entry.get("id") ?? ""),
      entryTime: canonicalJson(entry.get("time") ?? ""),
      entryMs: unixSeconds(parseMember(entry, "time")),
      field: unknownKind,
    };
    for (const change of changes) {
      if (this.#isFull) return;
      this.#readChange(change, place);
    }
    this.#readOthers(entry, envelope.entry, place);
  }

  #readChange(json: string, entryPlace: Place): void {
    const change = membersOf(json);
    const valueJson = change?.get("value");
    const field = nameOf(parseMember(change, "field"));
    const place = { ...entryPlace, field };
    if (change === undefined || valueJson === undefined) {
      return this.addEvent(field, json, place);
    }
    this.#readOthers(change, envelope.change, place);
    const value = membersOf(valueJson);
    const countBefore = this.count;
    const known = [...envelope.value, ...elementLists];
    if (value !== undefined && known.some((key) => value.has(key))) {
      this.#readValue(value, place);
    }
    // Account and template updates, for example, are one event each.
    if (this.count === countBefore) this.addEvent(field, valueJson, place);
  }

  #readValue(value: Map<string, string>, place: Place): void {
    const contacts = parseMember(value, "contacts");
    const conversation = {
      businessNumber: phoneNumber(
        get(parseMember(value, "metadata"), "display_phone_number"),
      ),
      contacts: Array.isArray(contacts) ? contacts : [],
    };
    for (const list of messageLists) {
      for (const element of elementsOf(value.get(list)) ?? []) {
        if (this.#isFull) return;
        const message = toMessage(
          element,
          list === "message_echoes",
          conversation,
          this.#receivedMs,
        );
        if (message !== undefined) this.messages.push(message);
        else this.addEvent(list, element, place);
      }
    }
    for (const element of elementsOf(value.get("statuses")) ?? []) {
      if (this.#isFull) return;
      this.#addStatus(element, place);
    }
    const lists = elementLists.filter((list) =>
      elementsOf(value.get(list)) !== undefined
    );
    this.#readOthers(value, [...envelope.value, ...lists], place);
  }

  /** Adds everything but the members named: a list's elements one by one. */
  #readOthers(
    members: Map<string, string>,
    known: readonly string[],
    place: Place,
  ): void {
    for (const [key, json] of members) {
      if (known.includes(key)) continue;
      for (const element of elementsOf(json) ?? [json]) {
        if (this.#isFull) return;
        this.addEvent(nameOf(key), element, place);
      }
    }
  }

  /** A repeated status is recognised by its message, status and timestamp. */
  #addStatus(json: string, place: Place): void {
    const { id, status, timestamp } = (JSON.parse(json) ?? {}) as Record<
      string,
      unknown
    >;
    if (
      typeof id !== "string" || !isMessageId(id) ||
      typeof status !== "string" || unixSeconds(timestamp) === undefined
    ) return this.addEvent("status", json, place);
    this.events.push({
      event_id: digest(["status", id, status, `${timestamp}`]),
      kind: "status",
      message_id: id,
      ts: toTs(unixSeconds(timestamp)!),
      payload: json,
    });
  }

  addEvent(
    kind: string,
    json: string,
    { entryId, entryTime, entryMs, field }: Place = nowhere,
  ): void {
    const happened = unixSeconds(parseMember(membersOf(json), "timestamp")) ??
      entryMs;
    this.events.push({
      // The place is in it: two accounts may report the same.
      event_id: digest([
        kind,
        entryId,
        entryTime,
        field,
        canonicalJson(json),
      ]),
      kind,
      message_id: null,
      ts: toTs(happened ?? this.#receivedMs),
      payload: json,
    });
  }

  /** Whether there is too much already; then nothing of it is kept. */
  get #isFull(): boolean {
    return this.count > maxRows;
  }

  get count(): number {
    return this.messages.length + this.events.length;
  }
}

/**
 * An element of `messages` or `message_echoes` as a message, or `undefined` if
 * it has no id to know it by.
 */
function toMessage(
  json: string,
  isEcho: boolean,
  { businessNumber, contacts }: Conversation,
  receivedMs: number,
): DeliveredMessage | undefined {
  const element: unknown = JSON.parse(json);
  const id = get(element, "id");
  if (typeof id !== "string" || !isMessageId(id)) return undefined;
  const type = nameOf(get(element, "type"));
  // Since 2026 a user with a username may come without a number.
  const customerSide = isEcho ? "to" : "from";
  const ids = [
    get(element, customerSide),
    get(element, `${customerSide}_user_id`),
  ];
  const contact =
    contacts.find((contact) =>
      ids.some((id) =>
        typeof id === "string" &&
        (id === get(contact, "wa_id") || id === get(contact, "user_id"))
      )
    ) ?? (contacts.length === 1 ? contacts[0] : undefined);
  const customer = phoneNumber(ids[0]) ?? identity(ids[1]) ??
    phoneNumber(get(contact, "wa_id")) ?? identity(get(contact, "user_id"));
  const business = phoneNumber(get(element, isEcho ? "from" : "to")) ??
    businessNumber;
  return {
    message_id: id,
    from: (isEcho ? business : customer) ?? "",
    to: (isEcho ? customer : business) ?? "",
    ts: toTs(unixSeconds(get(element, "timestamp")) ?? receivedMs),
    text: readableText(type, get(element, type)),
    type,
    contact_name: storable(get(contact, "profile", "name"), maxSharedLength) ??
      null,
    payload: json,
  };
}

/** What a person would read in a message, or `null`. */
function readableText(type: string, content: unknown): string | null {
  switch (type) {
    case "text":
      return storable(get(content, "body")) ?? null;
    case "button":
      return storable(get(content, "text")) ?? null;
    case "interactive":
      return storable(get(content, "button_reply", "title")) ??
        storable(get(content, "list_reply", "title")) ?? null;
    case "reaction":
      return storable(get(content, "emoji")) ?? null;
    case "location": {
      const parts = [get(content, "name"), get(content, "address")];
      return parts.map((part) => storable(part)).filter(Boolean).join(", ") ||
        null;
    }
    default:
      return storable(get(content, "caption")) ?? null;
  }
}

/** The value at a path of keys, `undefined` where the path ends early. */
function get(value: unknown, ...path: string[]): unknown {
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    if (!Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function parseMember(
  members: Map<string, string> | undefined,
  key: string,
): unknown {
  const json = members?.get(key);
  return json === undefined ? undefined : JSON.parse(json);
}

/**
 * A string, cut to so many UTF-16 units; what SQLite or UTF-8 can't hold is replaced
 * by U+FFFD.
 */
function storable(value: unknown, maxLength = Infinity): string | undefined {
  if (typeof value !== "string") return undefined;
  return value.slice(0, maxLength).toWellFormed().replaceAll("\0", "\ufffd");
}

/** A string that stands for somebody, unchanged. */
function identity(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" &&
      value.length <= maxSharedLength && isStorable(value)
    ? value
    : undefined;
}

/** A number as `+` and digits, whatever stood between them; else as it stands. */
function phoneNumber(value: unknown): string | undefined {
  const text = identity(value);
  const digits = text?.replace(/[\s().-]/g, "");
  return digits !== undefined && /^\+?[0-9]+$/.test(digits)
    ? `+${digits.replace("+", "")}`
    : text;
}

/** A provider's name for a kind of thing, if it is fit for a name. */
function nameOf(value: unknown): string {
  const isName = typeof value === "string" && value.length <= 128 &&
    identity(value) !== undefined;
  return isName ? value : unknownKind;
}

/** Unix seconds, written as a string or a number, in milliseconds. */
function unixSeconds(value: unknown): number | undefined {
  const seconds = typeof value === "string" && /^\d{1,12}$/.test(value)
    ? Number(value)
    : value;
  const isInstant = Number.isInteger(seconds) && Number(seconds) >= 0 &&
    // Year 9999, the last one ISO-8601 writes with four digits.
    Number(seconds) <= 253402300799;
  return isInstant ? Number(seconds) * 1000 : undefined;
}

/** `YYYY-MM-DDTHH:MM:SSZ`. */
function toTs(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

function digest(parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** The WhatsApp Cloud API. */
export const whatsapp: Provider = {
  name: "whatsapp",
  path: "/webhook/whatsapp",
  maxBodyBytes: 3 << 20,
  secretVariables: [
    "WHATSAPP_APP_SECRET",
    "WHATSAPP_APP_SECRET_PREVIOUS",
    "WHATSAPP_VERIFY_TOKEN",
  ],
  isRequired: false,

  verifier(secrets) {
    return hmacVerifier(
      secrets.WHATSAPP_APP_SECRET,
      secrets.WHATSAPP_APP_SECRET_PREVIOUS,
      (request) => {
        const header = request.headers.get("x-hub-signature-256");
        if (header === null) return null;
        return header.startsWith("sha256=") ? header.slice(7) : "";
      },
    );
  },

  parse(bytes) {
    const json = parseJson(bytes);
    if (!json.ok) return json;
    return { ok: true, delivery: readDelivery(json.text) };
  },

  handshake(query, { WHATSAPP_VERIFY_TOKEN: token }) {
    if (token === undefined) return undefined;
    const isOurs = query.get("hub.mode") === "subscribe" &&
      isEqual(query.get("hub.verify_token") ?? "", token);
    return isOurs ? query.get("hub.challenge") ?? "" : null;
  },
};

/** Compares in constant time, whatever the lengths. */
function isEqual(a: string, b: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
