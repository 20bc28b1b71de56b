/** Reason codes by which MQTT 5 names why a packet is refused (OASIS MQTT 5.0, clause 2.4). */
export const reasonCodes = {
  malformed: 0x81,
  protocol: 0x82,
  not_authorized: 0x87,
  client_id: 0x85,
  busy: 0x89,
  bad_authentication: 0x8c,
  keep_alive: 0x8d,
  filter: 0x8f,
  topic: 0x90,
  receive_maximum: 0x93,
  topic_alias: 0x94,
  too_large: 0x95,
  /** Before the level of the protocol is known nothing can be said. */
  not_mqtt: 0,
  level: 0x84,
  timeout: 0,
  slow: 0,
  unfinished: 0x97,
} as const;
export type RefusalReason = keyof typeof reasonCodes;

/** What a person reads who looks for why a client is refused. */
const reasonTexts: Readonly<Record<RefusalReason, string>> = {
  malformed: 'malformed packet',
  protocol: 'not allowed by the protocol',
  not_authorized: 'the user is unknown, or the password is another',
  client_id: 'a client identifier is needed',
  busy: 'the broker is busy: try again later',
  bad_authentication: 'unknown authentication method, or wrong credentials',
  keep_alive: 'nothing was heard for one and a half times the keep alive',
  filter: 'not a valid topic filter',
  topic: 'not a valid topic',
  receive_maximum: 'more unacknowledged messages than the Receive Maximum allows',
  topic_alias: 'not a valid topic alias',
  too_large: 'packet too large',
  not_mqtt: 'not MQTT',
  level: 'only MQTT 3.1, 3.1.1 and 5 are spoken here',
  timeout: 'took too long',
  slow: 'took too long',
  unfinished: 'too much memory for packets that have begun',
};

/**
 * Why a packet or a connection is refused, and the statement of the specifications it goes
 * against: in MQTT 5.0, and in 3.1.1. Empty where it is a limit of this broker.
 */
export class Refusal {
  readonly reason: RefusalReason;
  readonly code: number;
  readonly #five: string;
  readonly #three: string;

  constructor(reason: RefusalReason, five = '', three = five) {
    this.reason = reason;
    this.code = reasonCodes[reason];
    this.#five = five === '' ? '' : `MQTT5-${five}`;
    this.#three = three === '' ? '' : `MQTT-${three}`;
  }

  /** In words, with the statement of MQTT 5.0. */
  get text(): string {
    const words = reasonTexts[this.reason];
    return this.#five === '' ? words : `${words} [${this.#five}]`;
  }

  /** The statement by the protocol level of the client; of 3.1.1 while that is not known. */
  clause(level: number): string {
    return level === 5 ? this.#five : this.#three;
  }
}
