/** Who may do what on the broker. */
export interface Access {
  mayConnect(
    client: string,
    username: string | undefined,
    password: Uint8Array | undefined,
  ): boolean;
  mayPublish(client: string, topic: string): boolean;
  maySubscribe(client: string, filter: string): boolean;
}

/** What only the gateway itself may publish: its own topics, and the broker's. */
export function isReserved(topic: string): boolean {
  return topic.startsWith('tidegate/') || topic.startsWith('$SYS/');
}

/** Whether a message under this topic is kept: all that is not reserved, nor special to brokers. */
export function isKept(topic: string): boolean {
  return topic.charCodeAt(0) !== 0x24 && !isReserved(topic);
}

/** Everybody may do everything, but for what is reserved. */
export const openAccess: Access = {
  mayConnect: () => true,
  mayPublish: (_client, topic) => !isReserved(topic),
  maySubscribe: () => true,
};
