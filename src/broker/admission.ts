import type { Socket } from 'node:net';

export type AdmissionProblem = 'connections' | 'address_connections';

/** A connection that has said nothing for so long makes room for another when there is none. */
const patienceMs = 1000;

/**
 * How many may be connected, in all and from one address. When all places are taken, the longest
 * silent of those that have not sent a CONNECT goes, so that silence cannot lock others out.
 */
export class Admission {
  readonly #connections: number;
  readonly #perAddress: number;
  readonly #byAddress = new Map<string, number>();
  /** Who has not sent a CONNECT, with when it came; the oldest first. */
  readonly #silent = new Map<Name, { readonly socket: Socket; readonly since: number }>();
  #count = 0;

  constructor(connections: number, addressShare: number) {
    this.#connections = connections;
    this.#perAddress = Math.max(1, Math.floor(connections * addressShare));
  }

  get count(): number {
    return this.#count;
  }

  /** Undefined when the connection has a place, which it gives back when it closes. */
  admit(socket: Socket, now: number): AdmissionProblem | undefined {
    const address = socket.remoteAddress ?? '';
    const held = this.#byAddress.get(address) ?? 0;
    if (held >= this.#perAddress && address !== '' && !isLoopback(address))
      return 'address_connections';
    if (this.#count >= this.#connections && !this.#evict(now)) return 'connections';
    const name = nameOf(socket);
    this.#count += 1;
    this.#byAddress.set(address, held + 1);
    this.#silent.set(name, { socket, since: now });
    let here = true;
    socket.once('close', () => {
      if (!here) return;
      here = false;
      this.#release(address, name);
    });
    return undefined;
  }

  /** The connection has sent a CONNECT. Of TLS either socket will do. */
  heard(socket: Socket): void {
    this.#silent.delete(nameOf(socket));
  }

  #evict(now: number): boolean {
    for (const { socket, since } of this.#silent.values()) {
      if (now - since < patienceMs) return false;
      // Its place is free when it is closed; one too many for that moment does no harm.
      socket.destroy();
      this.#silent.delete(nameOf(socket));
      return true;
    }
    return false;
  }

  #release(address: string, name: Name): void {
    this.#count -= 1;
    this.#silent.delete(name);
    const held = this.#byAddress.get(address)! - 1;
    if (held === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, held);
  }
}

type Name = string | Socket;

/** A unix socket has no address, and is its own name; so is the one below a WebSocket. */
function nameOf(socket: Socket): Name {
  const { remoteAddress, remotePort, localPort, carrier } = socket as Socket & { carrier?: Socket };
  if (remoteAddress === undefined) return carrier ?? socket;
  return `${remoteAddress} ${remotePort} ${localPort}`;
}

export function isLoopback(address: string): boolean {
  return /^(::ffff:)?127\.|^::1$|^localhost$/.test(address);
}
