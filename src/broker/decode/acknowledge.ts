import type { Acknowledgement } from '../packets.ts';
import { broken } from './clauses.ts';
import { packetTypes } from './header.ts';
import { carriers, PropertyView, readProperties } from './properties.ts';
import type { Refusal } from './refusal.ts';
import { uint16At } from './text.ts';

type Kind = Acknowledgement['type'] | 'pubrel';

/** An acknowledgement; one object serves for all. */
export class AcknowledgementView {
  type: Kind = 'puback';
  id = 0;
  reason = 0;
}

const properties = new PropertyView();
const receivedReasons = [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const releasedReasons = [0, 0x92];
const names: Readonly<Record<number, Kind>> = {
  [packetTypes.puback]: 'puback',
  [packetTypes.pubrec]: 'pubrec',
  [packetTypes.pubrel]: 'pubrel',
  [packetTypes.pubcomp]: 'pubcomp',
};
const rules: Readonly<Record<Kind, { readonly reasons: readonly number[]; refusal: Refusal }>> = {
  puback: { reasons: receivedReasons, refusal: broken.pubackReason },
  pubrec: { reasons: receivedReasons, refusal: broken.pubrecReason },
  pubrel: { reasons: releasedReasons, refusal: broken.pubrelReason },
  pubcomp: { reasons: releasedReasons, refusal: broken.pubcompReason },
};

/** Reads a whole PUBACK, PUBREC, PUBREL or PUBCOMP whose body begins at `at`. */
export function readAcknowledgement(
  view: AcknowledgementView,
  bytes: Buffer,
  type: number,
  at: number,
  end: number,
  level: number,
): Refusal | undefined {
  if (at + 2 > end) return broken.tooShort;
  view.type = names[type]!;
  view.id = uint16At(bytes, at);
  view.reason = 0;
  if (view.id === 0) return broken.packetId;
  if (at + 2 === end) return undefined;
  if (level !== 5) return broken.tooLong;
  view.reason = bytes[at + 2]!;
  const { reasons, refusal } = rules[view.type];
  if (!reasons.includes(view.reason)) return refusal;
  if (at + 3 === end) return undefined;
  const problem = readProperties(properties, bytes, at + 3, end, carriers.acknowledgement);
  if (problem !== undefined) return problem;
  return properties.to === end ? undefined : broken.tooLong;
}
