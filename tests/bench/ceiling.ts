/**
 * The ceilings of ingest: a server that only reads the body and answers (`bare`),
 * and one that verifies and parses it too, but stores nothing (`parse`).
 *
 * @module
 */

import { providers } from "../../lib/providers/providers.ts";
import { secret } from "../harness.ts";

const [mode, port] = Deno.args;
const [simple] = providers;
const verify = (await simple.verifier({ WEBHOOK_SECRET: secret }))!;

Deno.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  onListen: () => console.log("listening"),
}, async (request) => {
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (mode === "parse") {
    const verdict = await verify(request, bytes);
    if (!verdict.ok || !simple.parse(bytes).ok) {
      return Response.json({ status: "refused" }, { status: 400 });
    }
  }
  return Response.json({ status: "ok" });
});
