import type { DeviceMessage } from '../device.ts';
import type { Packet } from '../shape/shape.ts';

export interface LinkEvents {
  connected(): void;
  /** `startedAt` is what `send` was given. */
  acknowledged(message: DeviceMessage, startedAt: number): void;
  /** The server will never have it. */
  refused(message: DeviceMessage, reason: string): void;
  /** Once, however it ends. What was sent and not settled comes back, in the order of sending. */
  closed(unsettled: readonly DeviceMessage[], error: Error | undefined): void;
}

/** One connection of one device, until it breaks. Never reconnects by itself. */
export interface Link {
  /** Whether the far side ever accepted it. */
  readonly wasConnected: boolean;
  /** Messages that may be sent now. */
  readonly room: number;
  send(message: DeviceMessage, startedAt: number): void;
  /** Called now and then, with the monotonic time: pings, gives up what does not answer. */
  tend(now: number): void;
  /** Says goodbye. */
  close(): void;
  /** Hangs up. */
  destroy(): void;
  /** Goes mute and stays open on the far side, until it is destroyed. */
  abandon(): void;
}

/** The device that a link is of. */
export interface Caller {
  readonly clientId: string;
  readonly will?: Packet | undefined;
  /** The password it believes in, where that is another than the right one. */
  readonly password?: string | undefined;
  /** It subscribes to this, and takes what has come only this often. */
  readonly reads?: { readonly topic: string; readonly everyMs: number } | undefined;
}

/** A way to get messages across. */
export interface Transport {
  readonly name: 'mqtt' | 'http' | 'serial' | 'direct';
  /** Whether the far side says what it has taken; else what is sent counts as settled. */
  readonly acknowledges: boolean;
  /** One device only can use it. */
  readonly single?: true;
  open(caller: Caller, events: LinkEvents, now: number): Link;
}

/** A message on its way. */
export interface Sent {
  readonly message: DeviceMessage;
  readonly startedAt: number;
}
