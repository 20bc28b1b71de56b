import type { Document } from '../../src/codec/codec.ts';
import type { Transmission } from '../behaviour/behaviour.ts';

/** What a device says that may say it as it likes: `boot` and `seq` name the message for ever. */
export function documentOf(
  { time, at, part, fields }: Transmission,
  boot: number,
): { readonly [key: string]: Document } {
  return { ts: time, boot, seq: at.seq, ...(part === 0 ? {} : { part }), ...fields };
}
