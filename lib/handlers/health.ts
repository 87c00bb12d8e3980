/**
 * `GET /health/live` and `GET /health/ready`: probes.
 *
 * @module
 */

import { missingSecrets } from "../providers/providers.ts";
import { StoreUnavailable } from "../store/store.ts";
import { type Handler, type Service, unavailableResponse } from "./handler.ts";

/** The process runs. */
export const getLive: Handler = () => Response.json({ status: "live" });

/** Deliveries can be verified, and the database takes them. */
export const getReady: Handler = async ({ logFields }, service) => {
  const problems = await findProblems(service);
  if (problems.length === 0) return Response.json({ status: "ready" });
  logFields.reason = problems.join("; ");
  return unavailableResponse(`not ready: ${logFields.reason}`);
};

/** Why the service isn't ready; nothing if it is. */
export async function findProblems(service: Service): Promise<string[]> {
  const problems: string[] = [];
  if (service.isStopping()) problems.push("the server is shutting down");
  problems.push(...missingSecrets(service.secrets));
  try {
    await service.store.ping();
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    problems.push(error.message);
  }
  return problems;
}
