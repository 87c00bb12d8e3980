/**
 * A message to try the service with.
 *
 * @module
 */

/** The body of a valid message that is new each time. */
export function exampleMessage(): string {
  const now = new Date();
  return JSON.stringify({
    message_id: `example-${now.getTime()}`,
    from: "+919876543210",
    to: "+14155550100",
    ts: `${now.toISOString().slice(0, 19)}Z`,
    text: "Hello",
  });
}
