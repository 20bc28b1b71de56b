import { ownBytes } from '../../platform/own-bytes.ts';
import type { ConnectRequest, WillRequest } from '../packets.ts';
import { broken } from './clauses.ts';
import { carriers, PropertyView, propertyIds, readProperties } from './properties.ts';
import { Refusal } from './refusal.ts';
import { fieldEnd, textOf, textProblem, uint16At } from './text.ts';
import { topicProblem } from './topic.ts';

const ids = propertyIds;

/** How a packet is read: from where to where, and what is still to come. */
interface Reading {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;
  readonly level: number;
}

/**
 * The protocol level of a whole CONNECT whose body begins at `at`, without the bridge bit: 3, 4 or
 * 5, or others as they come; -1 when it does not begin with the name of the protocol.
 */
export function protocolLevelOf(bytes: Buffer, at: number, end: number): number {
  const nameEnd = fieldEnd(bytes, at, end);
  if (nameEnd < 0 || nameEnd >= end) return -1;
  const name = bytes.toString('latin1', at + 2, nameEnd);
  const level = bytes[nameEnd]! & 0x7f;
  if (name === 'MQTT') return level;
  // With this name there was one level only.
  return name === 'MQIsdp' ? (level === 3 ? 3 : 0) : -1;
}

/** Reads a whole CONNECT of level 3, 4 or 5 whose body begins at `at`. */
export function readConnect(
  bytes: Buffer,
  at: number,
  end: number,
  level: number,
): ConnectRequest | Refusal {
  const nameEnd = fieldEnd(bytes, at, end);
  if (nameEnd + 4 > end) return broken.tooShort;
  const flags = bytes[nameEnd + 1]!;
  const problem = flagsProblem(flags, level);
  if (problem !== undefined) return problem;
  const reading: Reading = { bytes, at: nameEnd + 4, end, level };
  const properties = new PropertyView();
  if (level === 5) {
    const refusal = readProperties(properties, bytes, reading.at, end, carriers.connect);
    if (refusal !== undefined) return refusal;
    if (properties.has(ids.authenticationData) && !properties.has(ids.authenticationMethod)) {
      return broken.dataWithoutMethod;
    }
    reading.at = properties.to;
  }
  const clientId = readText(reading, broken.clientIdUtf8);
  if (clientId instanceof Refusal) return clientId;
  const cleanStart = (flags & 2) !== 0;
  if (clientId === '' && (level === 3 || (level === 4 && !cleanStart))) return broken.clientIdEmpty;
  const will = (flags & 4) === 0 ? undefined : readWill(reading, flags);
  if (will instanceof Refusal) return will;
  const username = (flags & 0x80) === 0 ? undefined : readText(reading, broken.usernameUtf8);
  if (username instanceof Refusal) return username;
  const password = (flags & 0x40) === 0 ? undefined : readData(reading);
  if (password instanceof Refusal) return password;
  if (reading.at !== end) return broken.tooLong;
  return {
    ...{ level: level as 3 | 4 | 5, bridge: bytes[nameEnd]! > 0x7f, clientId, cleanStart },
    keepAliveSeconds: uint16At(bytes, nameEnd + 2),
    ...sessionOf(properties, level, cleanStart),
    ...(username !== undefined && { username }),
    ...(will !== undefined && { will }),
  };
}

function flagsProblem(flags: number, level: number): Refusal | undefined {
  // Of level 3 the lowest bit is not used, and means nothing.
  if ((flags & 1) !== 0 && level > 3) return broken.connectReserved;
  const willQos = (flags >> 3) & 3;
  if ((flags & 4) !== 0) {
    if (willQos === 3) return broken.willQos;
  } else if (willQos > 0) return broken.willQosWithout;
  else if ((flags & 0x20) !== 0) return broken.willRetainWithout;
  return level < 5 && (flags & 0xc0) === 0x40 ? broken.passwordAlone : undefined;
}

/** What a client says of its session and of what it can take; the values of MQTT 5 for older ones. */
function sessionOf(properties: PropertyView, level: number, cleanStart: boolean) {
  const method = properties.text(ids.authenticationMethod);
  const data = properties.data(ids.authenticationData);
  const forever = 0xffff_ffff;
  const older = level < 5 && !cleanStart ? forever : 0;
  return {
    sessionExpiryInterval: properties.number(ids.sessionExpiry) ?? older,
    receiveMaximum: properties.number(ids.receiveMaximum) ?? 65_535,
    maximumPacketSize: properties.number(ids.maximumPacketSize) ?? forever,
    topicAliasMaximum: properties.number(ids.topicAliasMaximum) ?? 0,
    requestResponseInformation: properties.number(ids.requestResponse) === 1,
    requestProblemInformation: properties.number(ids.requestProblem) !== 0,
    ...(properties.userProperties > 0 && { userProperties: properties.pairs() }),
    ...(method !== undefined && { authenticationMethod: method }),
    ...(data !== undefined && { authenticationData: data }),
  };
}

function readWill(reading: Reading, flags: number): WillRequest | Refusal {
  const { bytes, end, level } = reading;
  const properties = new PropertyView();
  if (level === 5) {
    const refusal = readProperties(properties, bytes, reading.at, end, carriers.will);
    if (refusal !== undefined) return refusal;
    reading.at = properties.to;
  }
  const from = reading.at + 2;
  const to = fieldEnd(bytes, reading.at, end);
  if (to < 0) return broken.connectPayload;
  if (from === to) return broken.filterEmpty;
  const problem = topicProblem(bytes, from, to, broken.willTopicUtf8, broken.willTopicWildcard);
  if (problem !== undefined) return problem;
  reading.at = to;
  const payload = readData(reading);
  if (payload instanceof Refusal) return payload;
  const message = level === 5 ? properties.message() : undefined;
  return {
    topic: textOf(bytes, from, to),
    payload,
    qos: ((flags >> 3) & 3) as 0 | 1 | 2,
    retain: (flags & 0x20) !== 0,
    delaySeconds: properties.number(ids.willDelay) ?? 0,
    ...(message !== undefined && { properties: message }),
  };
}

function readText(reading: Reading, utf8: Refusal): string | Refusal {
  const { bytes, at, end } = reading;
  const next = fieldEnd(bytes, at, end);
  if (next < 0) return broken.connectPayload;
  const problem = textProblem(bytes, at + 2, next, utf8);
  if (problem !== undefined) return problem;
  reading.at = next;
  return textOf(bytes, at + 2, next);
}

/** A copy: what came with it is not held on to. */
function readData(reading: Reading): Buffer | Refusal {
  const { bytes, at, end } = reading;
  const next = fieldEnd(bytes, at, end);
  if (next < 0) return broken.connectPayload;
  reading.at = next;
  return ownBytes(bytes.subarray(at + 2, next));
}
