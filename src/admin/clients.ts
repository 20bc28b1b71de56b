/**
 * The clients of the broker by HTTP:
 *
 *   GET  /api/v1/clients                     {"clients":[{"id":"gh-07",…},…]}
 *   POST /api/v1/clients/<id>/disconnect     {"disconnected":"gh-07"}
 */
import { z } from 'zod';
import { GatewayError } from '../platform/errors.ts';
import { type Answer, json } from './answer.ts';

/** One client that is connected. Times in milliseconds since the epoch. */
export interface ShownClient {
  readonly id: string;
  readonly connectedSince: number;
  readonly lastSeen: number;
}

/** The clients, as the broker has them. */
export interface ClientOperations {
  list(): readonly ShownClient[];
  /** False when no such client is connected. */
  disconnect(id: string): boolean;
}

/** A POST to disconnect says nothing more. */
export const disconnectSchema = z.strictObject({});

export function clientsPage(clients: ClientOperations): Answer {
  return json({
    clients: clients.list().map(({ connectedSince, lastSeen, ...client }) => ({
      ...client,
      connectedSince: new Date(connectedSince).toISOString(),
      lastSeen: new Date(lastSeen).toISOString(),
    })),
  });
}

/** `id` as the path has it: what is not a letter, a digit or `-_.~` as `%XX`. */
export function disconnectAnswer(clients: ClientOperations, encoded: string): Answer {
  const id = decoded(encoded);
  if (clients.disconnect(id)) return json({ disconnected: id });
  throw new GatewayError('GW_CLIENT_UNKNOWN', id.slice(0, 200));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
