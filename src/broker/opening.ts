import { broken } from './decode/clauses.ts';
import { protocolLevelOf, readConnect } from './decode/connect.ts';
import { bodyOf, isOverlong } from './decode/header.ts';
import { Refusal } from './decode/refusal.ts';
import type { ConnectRequest } from './packets.ts';

/** What a CONNECT comes to. */
export type Opening =
  | { readonly level: number; readonly request: ConnectRequest; refusal?: never; answer?: never }
  | {
      /** 0 while it is not known. */
      readonly level: number;
      readonly refusal: Refusal;
      /** What is to be written first to clients older than MQTT 5. */
      readonly answer?: Uint8Array;
      request?: never;
    };

/** CONNACK with the codes of MQTT 3.1.1. */
const unacceptableLevel = Uint8Array.of(0x20, 2, 0, 1);
const rejectedId = Uint8Array.of(0x20, 2, 0, 2);

/** Reads the whole CONNECT from `at` to `end`. */
export function openingOf(bytes: Buffer, at: number, end: number): Opening {
  const body = bodyOf(bytes, at);
  const level = protocolLevelOf(bytes, body, end);
  if (level < 0) return { level: 0, refusal: broken.protocolName };
  if (level < 3 || level > 5) {
    return { level: 0, refusal: broken.protocolLevel, answer: unacceptableLevel };
  }
  if (level === 5 && isOverlong(bytes, at + 1, body)) {
    return { level, refusal: broken.lengthEncoding };
  }
  const request = readConnect(bytes, body, end, level);
  if (!(request instanceof Refusal)) return { level, request };
  const refusal = request;
  if (refusal !== broken.clientIdEmpty || level === 5) return { level, refusal };
  return { level, refusal, answer: rejectedId };
}
