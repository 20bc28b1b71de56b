import type { IPublishPacket } from 'mqtt-packet';
import { connectRaw, publishPacket, type RawClient } from './harness.ts';

export interface Asked {
  readonly topic: string;
  readonly qos?: 0 | 1 | 2;
  readonly nl?: boolean;
  readonly rap?: boolean;
  readonly rh?: 0 | 1 | 2;
}

let lastId = 0;
function nextId(): number {
  lastId = (lastId % 60_000) + 1;
  return lastId;
}

/** Resolves with the codes of the SUBACK. */
export async function subscribe(
  client: RawClient,
  asked: string | readonly Asked[],
  qos: 0 | 1 | 2 = 0,
  subscriptionIdentifier?: number,
): Promise<readonly number[]> {
  const list = typeof asked === 'string' ? [{ topic: asked, qos }] : asked;
  const options = { qos: 0, nl: false, rap: false, rh: 0 } as const;
  client.send({
    ...{ cmd: 'subscribe', messageId: nextId() },
    subscriptions: list.map((each) => ({ ...options, ...each })),
    ...(subscriptionIdentifier === undefined ? {} : { properties: { subscriptionIdentifier } }),
  });
  return (await client.next('suback')).granted as number[];
}

export async function unsubscribe(client: RawClient, ...filters: string[]): Promise<unknown> {
  client.send({ cmd: 'unsubscribe', messageId: nextId(), unsubscriptions: filters });
  return (await client.next('unsuback')).granted;
}

/** Publishes at QoS 1, and waits until the broker has taken it. */
export async function publish(
  client: RawClient,
  topic: string,
  payload: string,
  more: object = {},
): Promise<void> {
  client.send(publishPacket(topic, payload, 1, nextId(), more));
  await client.next('puback');
}

/** A client with MQTT 5 whose session is kept for an hour. */
export async function connectKept(
  port: number,
  id: string,
  properties: object = {},
  clean = false,
): Promise<RawClient> {
  return await connectRaw(port, 5, {
    ...{ id, clean },
    properties: { sessionExpiryInterval: 3600, ...properties },
  });
}

/** Everything that was sent to the client until now: whoever answers a ping has sent it. */
export async function received(client: RawClient): Promise<IPublishPacket[]> {
  client.send({ cmd: 'pingreq' });
  await client.next('pingresp');
  return client.received.filter((packet): packet is IPublishPacket => packet.cmd === 'publish');
}

export async function payloads(client: RawClient): Promise<string[]> {
  return (await received(client)).map(({ payload }) => String(payload));
}
