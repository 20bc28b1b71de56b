import type { Access, ConnectRefusal } from './access.ts';
import type { AedesHooks, BrokerClient } from './aedes.ts';
import { giveOwnMaps } from './aedes.ts';
import type { Connection } from './connection.ts';
import { encodeRefusal } from './encode-answers.ts';
import type { Guard } from './guard.ts';

export interface HookParts {
  /** Of the listener that the client came to. */
  accessOf(connection: Connection): Access;
  guardOf(connection: Connection): Guard;
  /** Whether the broker is being stopped. */
  isStopping(): boolean;
  /** A client identifier for who brings none. */
  newClientId(): string;
  /** A client was not let in. */
  refused(client: BrokerClient, reason: ConnectRefusal): void;
}

/** What the gateway has to say while aedes handles a packet. */
export function createHooks(parts: HookParts): AedesHooks {
  return {
    preConnect(client, packet, done) {
      giveOwnMaps(client);
      const guard = parts.guardOf(client.conn);
      // The guard sees every packet first, so it keeps the time.
      guard.keepAliveMs = packet.keepalive * 1500;
      packet.keepalive = 0;
      const { properties } = packet;
      if (client.conn.authentication !== undefined && properties !== undefined) {
        // It has been done; aedes knows no methods.
        properties.authenticationMethod = undefined;
        properties.authenticationData = undefined;
      }
      packet.will = undefined;
      if (packet.clientId === '') packet.clientId = parts.newClientId();
      done(null, true);
    },

    authenticate(client, username, password, done) {
      const refuse = (refused: Refused): void => {
        if (client.version === 5) {
          const code = codesOfFive[refused.returnCode];
          client.conn.explain((text) => encodeRefusal(code, text), refused.message);
          // It has its answer: that of aedes says nothing more.
          client.conn.isMuted = true;
        }
        done(refused, false);
      };
      if (parts.isStopping()) return refuse(refusal('the broker stops', 3));
      void admit(parts, client, username, password).then((refused) => {
        if (refused !== undefined) return refuse(refused);
        client.conn.isMuted = true;
        done(null, true);
      });
    },
  };
}

/** Gives the connection its rights; undefined, or the answer to who is not let in. */
async function admit(
  parts: HookParts,
  client: BrokerClient,
  username: string | undefined,
  password: Uint8Array | undefined,
): Promise<Refused | undefined> {
  const { conn, version } = client;
  const access = parts.accessOf(conn);
  if (conn.authentication !== undefined) {
    conn.rights = access.rightsOf(client.id, conn.authentication.username);
    return undefined;
  }
  const found = await access.mayConnect({
    ...{ client: client.id, username, password, address: conn.address },
    isGone: () => conn.destroyed,
  });
  if (typeof found !== 'string') {
    conn.rights = found;
    return undefined;
  }
  if (found !== 'gone') parts.refused(client, found);
  if (found === 'busy') return refusal(reasons.busy, 3);
  // Older clients: as Mosquitto does it.
  const isPassword = found === 'credentials' && version === 5;
  return refusal(reasons[found], isPassword ? 4 : 5);
}

type Refused = Error & { readonly returnCode: 3 | 4 | 5 };

/** The codes of MQTT 5 for those of MQTT 3.1.1 (OASIS MQTT 5.0, clause 3.2.2.2). */
const codesOfFive = { 3: 0x88, 4: 0x86, 5: 0x87 } as const;

const reasons: Readonly<Record<ConnectRefusal, string>> = {
  anonymous: 'a user name and a password are needed',
  credentials: 'the user name or the password is wrong',
  attempts: 'too many failed attempts: try again later',
  busy: 'too many passwords are being verified: try again later',
  gone: 'gone',
};

function refusal(message: string, returnCode: Refused['returnCode']): Refused {
  return Object.assign(new Error(message), { returnCode });
}
