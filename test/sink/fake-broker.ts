import { type AddressInfo, createServer, type Socket } from 'node:net';
import { generate, type IConnectPacket, type Packet, parser } from 'mqtt-packet';

/**
 * A broker that behaves as it is told: for answers that no real one can be made to give. It speaks
 * just enough to take publishes.
 */
export interface FakeBroker {
  readonly url: string;
  readonly connects: IConnectPacket[];
  /** Packets after CONNECT, in order. */
  readonly packets: Packet[];
  /** Lets the connections wait for an answer that comes from here. */
  send(packet: Packet): void;
  stop(): Promise<void>;
}

export async function startFakeBroker(
  answer: (packet: Packet, send: (packet: Packet) => void, socket: Socket) => void,
): Promise<FakeBroker> {
  const sockets = new Set<Socket>();
  const sends: ((packet: Packet) => void)[] = [];
  const connects: IConnectPacket[] = [];
  const packets: Packet[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let protocolVersion = 4;
    const read = parser({ protocolVersion: 5 });
    const send = (packet: Packet) => void socket.write(generate(packet, { protocolVersion }));
    sends.push(send);
    read.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        protocolVersion = packet.protocolVersion ?? 4;
        connects.push(packet);
      } else packets.push(packet);
      answer(packet, send, socket);
    });
    socket.on('data', (chunk) => read.parse(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connects,
    packets,
    send: (packet) => sends.at(-1)?.(packet),
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
