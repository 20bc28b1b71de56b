import { Readable } from 'node:stream';
import type { Retained } from './retained.ts';
import type { Sessions, Wanting } from './sessions.ts';
import type { ClientId, StoredPacket, StoredSubscription } from './stored.ts';

const done = Promise.resolve();
const nobody = Promise.resolve<readonly Wanting[]>(Object.freeze([]));

/**
 * What aedes calls its persistence (the interface of aedes-persistence), over sessions and retained
 * messages that live in memory. Nothing in it outlives the process: neither sessions nor the
 * packet identifiers of QoS 2, so a message sent again after a restart is taken for a new one.
 */
export function createStore(sessions: Sessions, retained: Retained) {
  const wills = new Map<string, unknown>();
  return {
    // aedes insists on an async function.
    async setup(): Promise<void> {},

    async storeRetained(packet: StoredPacket): Promise<void> {
      retained.store(packet);
    },
    createRetainedStreamCombi: (filters: readonly string[]) =>
      Readable.from(retained.matching(filters)),

    async addSubscriptions(client: ClientId, list: readonly StoredSubscription[]): Promise<void> {
      sessions.subscribe(client.id, list);
    },
    async removeSubscriptions(client: ClientId, filters: readonly string[]): Promise<void> {
      sessions.unsubscribe(client.id, filters);
    },
    subscriptionsByClient: async (client: ClientId) => sessions.subscriptions(client.id),
    subscriptionsByTopic(topic: string): Promise<readonly Wanting[]> {
      const wanting = sessions.wanting(topic);
      return wanting.length === 0 ? nobody : Promise.resolve(wanting);
    },
    /** aedes calls it when a session ends, and when one begins afresh. */
    async cleanSubscriptions(client: ClientId): Promise<void> {
      sessions.end(client.id);
    },

    async outgoingEnqueue(subscription: { clientId: string }, packet: StoredPacket): Promise<void> {
      sessions.enqueue([subscription], packet);
    },
    outgoingEnqueueCombi(wanting: readonly Wanting[], packet: StoredPacket): Promise<void> {
      if (wanting.length > 0) sessions.enqueue(wanting, packet);
      return done;
    },
    async outgoingUpdate(client: ClientId, packet: StoredPacket): Promise<void> {
      sessions.sent(client.id, packet);
    },
    outgoingClearMessageId: async (client: ClientId, packet: StoredPacket) =>
      sessions.done(client.id, packet),
    outgoingStream: (client: ClientId) => Readable.from(sessions.queued(client.id)),

    /** Resolves for a message that is known already: aedes then only answers it again. */
    async incomingGetPacket(client: ClientId, packet: StoredPacket): Promise<StoredPacket> {
      const incoming = sessions.incoming(client.id);
      const known =
        packet.cmd === 'pubrel'
          ? incoming.has(packet.messageId!)
          : await incoming.isKnown(packet.messageId!);
      if (!known) throw new Error('no such packet');
      return packet;
    },
    async incomingStorePacket(client: ClientId, packet: StoredPacket): Promise<void> {
      await sessions.incoming(client.id).store(packet.messageId!);
    },
    async incomingDelPacket(client: ClientId, packet: StoredPacket): Promise<void> {
      sessions.incoming(client.id).release(packet.messageId!);
    },

    async putWill(client: ClientId, will: { clientId?: string }): Promise<void> {
      will.clientId = client.id;
      wills.set(client.id, will);
    },
    getWill: async (client: ClientId) => wills.get(client.id),
    async delWill(client: ClientId): Promise<void> {
      wills.delete(client.id);
    },
    /** The wills of brokers that are gone. There are none: they went with their memory. */
    streamWill: () => Readable.from([]),
  };
}
export type Store = ReturnType<typeof createStore>;
