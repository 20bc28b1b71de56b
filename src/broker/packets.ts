/** Packets from clients as the guard hands them on: checked against the specification, not copied. */

export interface FilterRequest {
  readonly filter: string;
  readonly qos: 0 | 1 | 2;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** 0 send retained messages, 1 only to a new subscription, 2 do not [MQTT5-3.8.3.1]. */
  readonly retainHandling: 0 | 1 | 2;
}

export interface SubscribePacket {
  readonly id: number;
  /** MQTT 5: 1 to 268,435,455. */
  readonly subscriptionId?: number;
  readonly requests: readonly FilterRequest[];
}

export interface UnsubscribePacket {
  readonly id: number;
  readonly filters: readonly string[];
}

/** An acknowledgement of something the broker has sent. */
export interface Acknowledgement {
  readonly type: 'puback' | 'pubrec' | 'pubcomp';
  readonly id: number;
  /** 0 when the client gave none. */
  readonly reason: number;
}

/** MQTT 5 properties of a PUBLISH or a will that go on to subscribers; the alias is not one. */
export interface MessageProperties {
  readonly payloadFormatIndicator?: 0 | 1;
  /** Seconds, as the publisher gave it. */
  readonly messageExpiryInterval?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Uint8Array;
  /** In order, with repeats. */
  readonly userProperties?: readonly (readonly [string, string])[];
}
