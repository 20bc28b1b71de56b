import type { AuthPacket } from '../packets.ts';
import { broken } from './clauses.ts';
import { carriers, PropertyView, propertyIds, readProperties } from './properties.ts';
import type { Refusal } from './refusal.ts';

const properties = new PropertyView();
const disconnectReasons = [
  0, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
];
/** Continue and re-authenticate; success is the server's to say. */
const authReasons = [0x18, 0x19];

/**
 * What is wrong with a whole DISCONNECT whose body begins at `at`, if anything. `expires` says that
 * the client asked in its CONNECT for a session that ends with the connection.
 */
export function disconnectProblem(
  bytes: Buffer,
  at: number,
  end: number,
  level: number,
  expires: boolean,
): Refusal | undefined {
  if (at === end) return undefined;
  if (level !== 5) return broken.tooLong;
  if (!disconnectReasons.includes(bytes[at]!)) return broken.disconnectReason;
  if (at + 1 === end) return undefined;
  const problem = readProperties(properties, bytes, at + 1, end, carriers.disconnect);
  if (problem !== undefined) return problem;
  if (properties.to !== end) return broken.tooLong;
  const expiry = properties.number(propertyIds.sessionExpiry) ?? 0;
  return expires && expiry > 0 ? broken.disconnectExpiry : undefined;
}

/** What is wrong with a whole PINGREQ. */
export function pingProblem(at: number, end: number): Refusal | undefined {
  return at === end ? undefined : broken.tooLong;
}

/** Reads a whole AUTH whose body begins at `at`. */
export function readAuth(bytes: Buffer, at: number, end: number): AuthPacket | Refusal {
  // Without a body it says success, which a client may not.
  if (at === end || !authReasons.includes(bytes[at]!)) return broken.authReason;
  if (at + 1 === end) return broken.authMethodMissing;
  const problem = readProperties(properties, bytes, at + 1, end, carriers.auth);
  if (problem !== undefined) return problem;
  if (properties.to !== end) return broken.tooLong;
  const method = properties.text(propertyIds.authenticationMethod);
  if (method === undefined) return broken.authMethodMissing;
  const data = properties.data(propertyIds.authenticationData);
  return { reason: bytes[at] as 0x18 | 0x19, method, ...(data !== undefined && { data }) };
}
