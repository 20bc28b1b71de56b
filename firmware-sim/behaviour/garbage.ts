import { type Behaviour, chanceAt, change } from './behaviour.ts';

const salt = 0x6a7b;
const lengthMax = 48;

/** A share of the messages, from 0 to 1, is bytes that make no sense: flash wear, a loose wire. */
export function garbage(share: number): Behaviour {
  return change((sending, moment) => {
    if (chanceAt(moment, salt) >= share) return sending;
    const bytes = new Uint8Array(1 + Math.floor(chanceAt(moment, salt + 1) * lengthMax));
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = Math.floor(chanceAt(moment, salt + 2 + at) * 256);
    }
    // A lone 0xff begins no valid text in UTF-8, so chance cannot make sense after all.
    bytes[0] = 0xff;
    return sending.map((sent) => ({ ...sent, garbage: bytes }));
  });
}
