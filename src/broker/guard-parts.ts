import type { Clock } from '../platform/clock.ts';
import type { Bounds } from './bounds.ts';
import type { PublishView } from './decode/publish.ts';
import type { Refusal } from './decode/refusal.ts';
import type { FastLane } from './fast-lane.ts';
import type { Gate } from './gate.ts';
import type { Acknowledgement, AuthPacket, SubscribePacket, UnsubscribePacket } from './packets.ts';
import type { Peer } from './peer.ts';
import type { KnownTopic, TopicTable } from './topic-table.ts';

/** What the guards of all connections share, and whom they hand on to, in the order of the packets. */
export interface GuardParts {
  readonly bounds: Bounds;
  readonly packetBytes: number;
  readonly clock: Clock;
  readonly gate: Gate;
  /** Memory for packets that have begun and not ended, of all connections. */
  readonly unfinished: { bytes: number };
  readonly topics: TopicTable;
  readonly lane: FastLane;
  /** Gets the first packet, a CONNECT; `ready` is called when aedes has answered it. */
  connect(guard: Peer, packet: Uint8Array): void;
  /** Gets whole packets, some in one piece: what is not handed on otherwise. */
  packets(guard: Peer, bytes: Uint8Array): void;
  /** Gets messages that do not take the fast lane, and that the client may publish. */
  publish?(guard: Peer, view: PublishView, topic: KnownTopic): void;
  /** PUBREL. */
  released?(guard: Peer, id: number): void;
  subscribe?(guard: Peer, packet: SubscribePacket): void;
  unsubscribe?(guard: Peer, packet: UnsubscribePacket): void;
  /** The object is used again for the next. */
  acknowledged?(guard: Peer, packet: Acknowledgement): void;
  /** Without it, a CONNECT that asks for enhanced authentication is refused. */
  authenticate?(guard: Peer, packet: AuthPacket): void;
  refused(guard: Peer, refusal: Refusal): void;
}
