import { type Acl, allows, type ClientRules, rulesFor, type Use } from './acl.ts';
import type { PasswordHash, Passwords } from './password-file.ts';
import type { ScramKeys } from './scram.ts';
import type { Claim, Verdict, Verifier } from './verifier.ts';

/** What one connection may do. Answers at once, and always the same. */
export interface Rights {
  readonly username?: string;
  /** Whether `mayRead` need not be asked. */
  readonly readsAll: boolean;
  mayPublish(topic: string): boolean;
  /**
   * As in Mosquitto, an ACL refuses no filter: what may not be read is left out of what is
   * delivered.
   */
  maySubscribe(filter: string): boolean;
  /** Whether a message under this topic may go to the client. */
  mayRead(topic: string): boolean;
  /** Whether the client would still be let in with what it has shown. */
  readonly isValid?: () => boolean;
}

/** Why a client was not let in, as it is counted. */
export type ConnectRefusal = 'anonymous' | Exclude<Verdict, 'right'>;

/** Who asks to be let in. */
export interface Candidate extends Omit<Claim, 'username' | 'password'> {
  readonly client: string;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
}

/** Who may do what on the broker, or at one of its listeners. */
export interface Access {
  mayConnect(candidate: Candidate): Promise<Rights | ConnectRefusal>;
  /** The rights of a client that has proved to be that user. */
  rightsOf(client: string, username: string): Rights;
  /** Whether any user can log in by SCRAM-SHA-256. */
  readonly hasScram: boolean;
  /** For who is unknown, keys that nothing fits. */
  scramKeysOf(username: string): ScramKeys;
  /** What the files say from now on, also to those who have their rights already. */
  renew(files: AuthFiles): void;
}

/** What users and rights are given in files. */
export interface AuthFiles {
  readonly passwords?: Passwords;
  readonly acl?: Acl;
}

/** What only the gateway itself may publish: its own topics, and the broker's. */
export function isReserved(topic: string): boolean {
  return topic.startsWith('tidegate/') || topic.startsWith('$SYS/');
}

/** What clients may publish all the same when a rule for just that allows it. */
const commands = 'tidegate/commands/';

/** Whether a message under this topic is kept: commands, and all that is neither reserved nor special. */
export function isKept(topic: string): boolean {
  return topic.charCodeAt(0) !== 0x24 && (!isReserved(topic) || topic.startsWith(commands));
}

/** Everything, but for what is reserved. */
export function openRights(username: string | undefined, isValid = () => true): Rights {
  return {
    ...(username === undefined ? {} : { username }),
    isValid,
    readsAll: true,
    mayPublish: (topic) => !isReserved(topic),
    maySubscribe: () => true,
    mayRead: () => true,
  };
}

/** Nothing: what a connection may do before it is known whose it is. */
export const noRights: Rights = Object.freeze({
  readsAll: false,
  mayPublish: () => false,
  maySubscribe: () => false,
  mayRead: () => false,
});

/** Access as files say. Without passwords any user name is believed, as Mosquitto does it. */
export function createAccess(
  auth: AuthFiles & { readonly anonymous: boolean },
  verifier: Verifier,
): Access {
  const { anonymous } = auth;
  let { passwords, acl } = auth;
  let anyScram = anyScramIn(passwords);
  const rights = (client: string, username: string | undefined, shown = passwords): Rights => {
    const isValid = (): boolean =>
      username === undefined || isSameUser(shown?.get(username), passwords?.get(username));
    if (acl === undefined) return openRights(username, isValid);
    let known = acl;
    const renewed = (): ClientRules | undefined => {
      if (acl === undefined || acl === known) return undefined;
      known = acl;
      return rulesFor(acl, client, username);
    };
    return new AclRights(rulesFor(acl, client, username), username, { isValid, renewed });
  };
  return {
    rightsOf: (client, username) => rights(client, username),
    renew(files) {
      ({ passwords, acl } = files);
      anyScram = anyScramIn(passwords);
    },
    get hasScram() {
      return anyScram !== undefined;
    },
    scramKeysOf(username) {
      const { iterations, salt, hash, serverKey } = passwords?.get(username) ?? {};
      if (serverKey === undefined) {
        const fake = { storedKey: noKey, serverKey: noKey, salt: verifier.saltFor(username) };
        return { ...fake, iterations: anyScram?.iterations ?? 1 };
      }
      return { iterations: iterations!, salt: salt!, storedKey: hash!, serverKey };
    },
    async mayConnect({ username, password, ...candidate }) {
      if (username === undefined) {
        return anonymous ? rights(candidate.client, undefined) : 'anonymous';
      }
      // Others may be in force when the password has been verified.
      const shown = passwords;
      if (shown !== undefined) {
        const claim = { ...candidate, username, password: password ?? noPassword };
        const verdict = await verifier.verify(shown, claim);
        if (verdict !== 'right') return verdict;
      }
      const found = rights(candidate.client, username, shown);
      return found.isValid?.() === false ? 'credentials' : found;
    },
  };
}

const anyScramIn = (passwords: Passwords | undefined): PasswordHash | undefined =>
  [...(passwords?.values() ?? [])].find(({ serverKey }) => serverKey);

/** Whether a user is the same with the same password: both undefined where there are no passwords. */
function isSameUser(before: PasswordHash | undefined, now: PasswordHash | undefined): boolean {
  if (before === undefined || now === undefined) return before === now;
  return before.salt.equals(now.salt) && before.hash.equals(now.hash);
}

const noPassword = new Uint8Array(0);
const noKey = Buffer.alloc(32);

/** Answers that one connection has remembered; then it begins anew. */
const rememberedMax = 64;

/** What the rules of a file give one client. */
export class AclRights implements Rights {
  readonly username?: string;
  readonly readsAll = false;
  readonly isValid: () => boolean;
  #rules: ClientRules;
  readonly #renewed: () => ClientRules | undefined;
  readonly #remembered = { read: new Map<string, boolean>(), write: new Map<string, boolean>() };

  /** `renewed` gives other rules when they are to count from now on. */
  constructor(
    rules: ClientRules,
    username: string | undefined,
    live: { readonly isValid: () => boolean; readonly renewed: () => ClientRules | undefined },
  ) {
    this.#rules = rules;
    this.isValid = live.isValid;
    this.#renewed = live.renewed;
    if (username !== undefined) this.username = username;
  }

  /** Answers that are remembered. */
  get remembered(): number {
    return this.#remembered.read.size + this.#remembered.write.size;
  }

  mayPublish(topic: string): boolean {
    return this.#may('write', topic);
  }

  maySubscribe(): boolean {
    return true;
  }

  mayRead(topic: string): boolean {
    return this.#may('read', topic);
  }

  #may(use: Use, topic: string): boolean {
    const renewed = this.#renewed();
    if (renewed !== undefined) {
      this.#rules = renewed;
      this.#remembered.read.clear();
      this.#remembered.write.clear();
    }
    const remembered = this.#remembered[use];
    let may = remembered.get(topic);
    if (may !== undefined) return may;
    if (use === 'write' && isReserved(topic)) {
      // Not by `#`: who may publish everything did not ask for what devices are told.
      may = topic.startsWith(commands) && allows(this.#rules, use, topic, commands);
    } else {
      may = allows(this.#rules, use, topic);
    }
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.set(topic, may);
    return may;
  }
}
