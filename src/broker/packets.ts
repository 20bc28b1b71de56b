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
  readonly userProperties?: UserProperties;
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
  readonly userProperties?: UserProperties;
}

/** In order, with repeats. */
export type UserProperties = readonly (readonly [name: string, value: string])[];

/** A message on its way to subscribers. The payload may be a part of something larger. */
export interface PublishedMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties?: MessageProperties;
  /** The client that published it. */
  readonly from: string;
}

export interface WillRequest {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly delaySeconds: number;
  readonly properties?: MessageProperties;
}

/**
 * A CONNECT, without the password. What older clients cannot say has the value that MQTT 5 has for
 * what is not said.
 */
export interface ConnectRequest {
  readonly level: 3 | 4 | 5;
  /** The client is a broker that passes on what it gets. */
  readonly bridge: boolean;
  /** Empty when the broker is to choose one. */
  readonly clientId: string;
  readonly cleanStart: boolean;
  /** 0 is for ever. */
  readonly keepAliveSeconds: number;
  readonly username?: string;
  readonly will?: WillRequest;
  /** Seconds; 0xffffffff is for ever, as it is for an older client that asked for it. */
  readonly sessionExpiryInterval: number;
  readonly receiveMaximum: number;
  readonly maximumPacketSize: number;
  readonly topicAliasMaximum: number;
  readonly requestResponseInformation: boolean;
  readonly requestProblemInformation: boolean;
  readonly userProperties?: UserProperties;
  readonly authenticationMethod?: string;
  readonly authenticationData?: Buffer;
}

/** A client's part in enhanced authentication: 0x18 goes on, 0x19 begins anew [MQTT5-4.12]. */
export interface AuthPacket {
  readonly reason: 0x18 | 0x19;
  readonly method: string;
  readonly data?: Buffer;
}
