import type { Access } from './access.ts';
import type { Admission } from './admission.ts';

/** What one listener allows. */
export interface Door {
  /** `127.0.0.1:1883`, or the path of a unix socket. */
  readonly name: string;
  readonly access: Access;
  /** The largest packet a client may send. */
  readonly packetBytes: number;
  /** Given where fewer may connect than to the broker. */
  readonly admission?: Admission;
}
