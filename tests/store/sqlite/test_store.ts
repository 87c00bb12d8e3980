import assert from "node:assert/strict";
import type {
  DeliveredEvent,
  DeliveredMessage,
  Delivery,
  Message,
} from "../../../lib/message.ts";
import { Indexer } from "../../../lib/store/sqlite/indexer.ts";
import { Reader } from "../../../lib/store/sqlite/reader.ts";
import { migrate } from "../../../lib/store/sqlite/schema.ts";
import { Writer } from "../../../lib/store/sqlite/writer.ts";
import type { EventFilter, MessageFilter } from "../../../lib/store/store.ts";
import { TempDatabase } from "./temp_database.ts";

/** More than any test stores. */
export const allRows = 1000;

let lastId = 0;

/** A message of its own id. */
export function message(
  fields: Partial<DeliveredMessage> = {},
): DeliveredMessage {
  return {
    message_id: `m${++lastId}`,
    from: "+1",
    to: "+2",
    ts: "2025-01-15T10:00:00Z",
    text: null,
    type: "text",
    contact_name: null,
    payload: null,
    ...fields,
  };
}

/** An event of its own id. */
export function event(fields: Partial<DeliveredEvent> = {}): DeliveredEvent {
  return {
    event_id: `e${++lastId}`,
    kind: "account_update",
    message_id: null,
    ts: "2025-01-15T10:00:00Z",
    payload: "{}",
    ...fields,
  };
}

/** A status of message "m". */
export function status(
  status: string,
  ts: string,
  message_id = "m",
): DeliveredEvent {
  return event({
    kind: "status",
    message_id,
    ts,
    payload: JSON.stringify({ status, ts }),
  });
}

/** Deliveries of one message each. */
export function singly(messages: readonly DeliveredMessage[]): Delivery[] {
  return messages.map((message) => ({ messages: [message], events: [] }));
}

/** The five fields of a list. */
export function listed({ message_id, from, to, ts, text }: Message): Message {
  return { message_id, from, to, ts, text };
}

/**
 * A writer and a reader of one database, on connections of their own. Of the
 * messages it starts with the first half is indexed.
 */
export class TestStore implements Disposable {
  readonly #temp = new TempDatabase();
  readonly writer: Writer;
  readonly reader: Reader;

  constructor(
    messages: readonly DeliveredMessage[] = [],
    events: readonly DeliveredEvent[] = [],
  ) {
    const db = this.#temp.open();
    db.exec("PRAGMA journal_mode = WAL");
    migrate(db);
    this.writer = new Writer(db);
    this.reader = new Reader(this.#temp.open({ readOnly: true }));
    this.writer.insert([{ messages, events }]);
    new Indexer(db).index(Math.ceil(messages.length / 2));
  }

  /** Inserts deliveries of one message each: which of them were new? */
  insert(messages: readonly DeliveredMessage[]): boolean[] {
    return this.writer.insert(singly(messages)).map(
      ({ newMessages, newEvents }) => {
        assert.equal(newEvents, 0);
        return newMessages === 1;
      },
    );
  }

  list(filter: MessageFilter = {}, limit = allRows, offset = 0): Message[] {
    return this.reader.listMessages(filter, limit, offset).data
      .map((row) => ({ ...row }));
  }

  ids(filter: MessageFilter = {}, limit = allRows, offset = 0): string[] {
    return this.list(filter, limit, offset).map((row) => row.message_id);
  }

  /** The ids of events. */
  eventIds(filter: EventFilter = {}, limit = allRows, offset = 0): string[] {
    return this.reader.listEvents(filter, limit, offset).data
      .map((row) => row.event_id);
  }

  /** A message's row and the names of its statuses. */
  get(messageId: string) {
    const details = this.reader.getMessage(messageId);
    return details && {
      message: { ...details.message },
      statuses: details.statuses.map((json) => JSON.parse(json).status),
    };
  }

  stats() {
    const { messages_per_sender, ...rest } = this.reader.stats();
    return {
      ...rest,
      messages_per_sender: messages_per_sender.map((row) => ({ ...row })),
    };
  }

  [Symbol.dispose](): void {
    this.#temp[Symbol.dispose]();
  }
}
