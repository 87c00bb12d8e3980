/**
 * What is stored: messages, and the other events of a delivery.
 *
 * @module
 */

/** A message as `GET /messages` lists it. */
export interface Message {
  /** Unique; 1 to 512 code points. */
  readonly message_id: string;
  /** The sender: `+` and digits, or an id where the provider gives no number. */
  readonly from: string;
  /** The recipient, in the same form. */
  readonly to: string;
  /** When it was sent: an ISO-8601 instant in UTC. */
  readonly ts: string;
  /** What a person would read, or `null` for a message without text. */
  readonly text: string | null;
}

/** A message with what its provider says beside the five common fields. */
export interface DeliveredMessage extends Message {
  /** `text`, `image`, ... */
  readonly type: string;
  readonly contact_name: string | null;
  /** JSON as it was sent, or `null` where the five fields are all there is. */
  readonly payload: string | null;
}

/** Anything in a delivery that is no message: a status, a call, an alert, ... */
export interface DeliveredEvent {
  /** 64 hex digits, the same for a repeated delivery of the same thing. */
  readonly event_id: string;
  /** `status`, or the provider's own name for it. */
  readonly kind: string;
  /** The message a status is of. */
  readonly message_id: string | null;
  /** When it happened: an ISO-8601 instant in UTC. */
  readonly ts: string;
  /** JSON as it was sent. */
  readonly payload: string;
}

/** What one body holds; it is stored as a whole or not at all. */
export interface Delivery {
  readonly messages: readonly DeliveredMessage[];
  readonly events: readonly DeliveredEvent[];
  /** When it came, if that is not now: an ISO-8601 instant in UTC. */
  readonly receivedAt?: string;
}

/** The longest `message_id`. */
export const messageIdMaxCodePoints = 512;

/** `true` if the text has at most `max` code points. */
export function hasAtMostCodePoints(text: string, max: number): boolean {
  // A code point is one or two UTF-16 units, so most texts need no counting.
  if (text.length <= max) return true;
  if (text.length > 2 * max) return false;
  let codePoints = 0;
  for (const _ of text) codePoints++;
  return codePoints <= max;
}

/** `true` if SQLite and UTF-8 can hold the text: no NUL, no lone surrogate. */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

/** `true` if a message can have this id. */
export function isMessageId(id: string): boolean {
  return id !== "" && hasAtMostCodePoints(id, messageIdMaxCodePoints) &&
    isStorable(id);
}
