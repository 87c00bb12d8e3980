/**
 * What handlers know of a store: no SQL, no workers, no files.
 *
 * @module
 */

import type {
  DeliveredEvent,
  DeliveredMessage,
  Delivery,
  Message,
} from "../message.ts";

/** How much of a delivery was new; the rest was there already. */
export interface Inserted {
  readonly newMessages: number;
  readonly newEvents: number;
}

/** Why a store can't do its work now, and how clients are told. */
const explanations = {
  opening: "the database is not open yet",
  closing: "the server is shutting down",
  queue_full: "too many deliveries are waiting to be stored",
  busy: "too many requests are waiting for the database",
  locked: "the database is locked by another process",
  full: "the disk or the database is full",
  disk_low: "the database's disk is almost full",
  io_error: "the database can't be read or written: I/O error",
  cannot_open: "the database can't be opened",
  read_only: "the database is read-only",
  corrupt: "the database file is corrupt or no database",
  replaced: "the database file was deleted or replaced",
  newer_schema: "the database was written by a newer version of this program",
  too_large: "this is more than can be handed to or by the database at once",
  worker_crashed: "the database worker crashed",
  no_answer: "the database does not answer",
  other: "the database failed",
} as const;

/** Why a store can't do its work now. */
export type UnavailableReason = keyof typeof explanations;

/**
 * The store can't do this now; nothing of it was done that a repetition could
 * harm. The message is fit for clients: it names no path and no SQL.
 */
export class StoreUnavailable extends Error {
  /** @param detail What only the log may say, such as the database's own words. */
  constructor(readonly reason: UnavailableReason, readonly detail?: string) {
    super(explanations[reason]);
    this.name = "StoreUnavailable";
  }
}

/** Which messages to list; absent filters match everything. */
export interface MessageFilter {
  /** The sender, exactly. */
  readonly from?: string;
  /** The earliest instant, in milliseconds since the Unix epoch. */
  readonly sinceMs?: number;
  /** A substring of the text, in any case. */
  readonly q?: string;
  readonly type?: string;
}

/** Which events to list; absent filters match everything. */
export interface EventFilter {
  readonly kind?: string;
  readonly sinceMs?: number;
  readonly messageId?: string;
}

/** A part of a list, and how long the whole list is. */
export interface Page<Item> {
  readonly data: readonly Item[];
  readonly total: number;
}

/** When the service stored something: an ISO-8601 instant in UTC. */
interface Received {
  readonly received_at: string;
}

/** An event as it is stored. */
export type StoredEvent = DeliveredEvent & Received;

/** All there is about a message. */
export interface MessageDetails {
  readonly message: DeliveredMessage & Received;
  /** The delivery statuses as they were sent, by instant. */
  readonly statuses: readonly string[];
}

/** Figures over all messages. */
export interface Stats {
  readonly total_messages: number;
  readonly senders_count: number;
  /** The ten most frequent senders. */
  readonly messages_per_sender: readonly {
    readonly from: string;
    readonly count: number;
  }[];
  readonly first_message_ts: string | null;
  readonly last_message_ts: string | null;
}

/** What was stored at once, and how long that took. */
export interface Commit {
  /** Messages and events, repeats too. */
  readonly rows: number;
  /** From handing them over to having them on disk. */
  readonly durationMs: number;
}

/** What there is to know of a store at a glance; what can't be told now is absent. */
export interface Figures {
  readonly messages?: number;
  readonly events?: number;
  readonly databaseBytes?: number;
  /** The write-ahead log, which holds what is not in the database's file yet. */
  readonly walBytes?: number;
  /** What is free on the disk. */
  readonly freeBytes?: number;
}

/**
 * Keeps deliveries. Its methods reject with {@linkcode StoreUnavailable}, but for
 * `figures()`.
 */
export interface Store {
  /** How many rows wait for the next commit. */
  readonly waitingRows: number;
  /** Has an observer told of every commit from now on, instead of the one before. */
  observeCommits(observer: (commit: Commit) => void): void;
  /**
   * Stores a delivery, each message and event of it once, all of them or none.
   * It resolves when they are on disk, not before.
   */
  insert(delivery: Delivery): Promise<Inserted>;
  /** Lists messages by instant, then by `message_id` in binary order. */
  listMessages(
    filter: MessageFilter,
    limit: number,
    offset: number,
  ): Promise<Page<Message>>;
  /** Looks one message up. */
  getMessage(messageId: string): Promise<MessageDetails | undefined>;
  /** Lists events by instant, then by `event_id`. */
  listEvents(
    filter: EventFilter,
    limit: number,
    offset: number,
  ): Promise<Page<StoredEvent>>;
  stats(): Promise<Stats>;
  /** Resolves soon, also while the store can't be used. */
  figures(): Promise<Figures>;
  /** Resolves if the store answers, can be written, and has room for more. */
  ping(): Promise<void>;
  /** Stores what is waiting, then lets go of everything. */
  close(): Promise<void>;
}
