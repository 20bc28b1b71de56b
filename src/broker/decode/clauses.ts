import { Refusal } from './refusal.ts';

/**
 * All there is to refuse, each by the statement it goes against: of MQTT 5.0 first, then of 3.1.1.
 * Statements without a number are named by their section. These are the values that the label
 * `clause` of a metric can have.
 */
export const broken = {
  // Data representation.
  utf8: new Refusal('malformed', '1.5.4-1', '1.5.3-1'),
  nullCharacter: new Refusal('malformed', '1.5.4-2', '1.5.3-2'),
  lengthEncoding: new Refusal('malformed', '1.5.5-1', '2.2.3'),
  userProperty: new Refusal('malformed', '1.5.7-1', ''),

  // Every packet.
  packetType: new Refusal('malformed', '2.1.2', '2.2.1'),
  direction: new Refusal('protocol', '2.1.2', '2.2.1'),
  flags: new Refusal('malformed', '2.1.3-1', '2.2.2-2'),
  remainingLength: new Refusal('malformed', '2.1.4', '2.2.3'),
  packetId: new Refusal('malformed', '2.2.1-3', '2.3.1-1'),
  tooShort: new Refusal('malformed', '4.13.1-1', '4.8.0-1'),
  tooLong: new Refusal('malformed', '4.13.1-1', '4.8.0-1'),
  propertyLength: new Refusal('malformed', '2.2.2.1', ''),
  propertyUnknown: new Refusal('malformed', '2.2.2.2', ''),
  propertyTwice: new Refusal('protocol', '2.2.2.2', ''),

  // CONNECT.
  first: new Refusal('not_mqtt', '3.1.0-1'),
  second: new Refusal('protocol', '3.1.0-2'),
  protocolName: new Refusal('not_mqtt', '3.1.2-1'),
  protocolLevel: new Refusal('level', '3.1.2-2'),
  connectReserved: new Refusal('malformed', '3.1.2-3'),
  willQosWithout: new Refusal('malformed', '3.1.2-11', '3.1.2-13'),
  willQos: new Refusal('malformed', '3.1.2-12', '3.1.2-14'),
  willRetainWithout: new Refusal('malformed', '3.1.2-13', '3.1.2-15'),
  passwordAlone: new Refusal('malformed', '3.1.2.9', '3.1.2-22'),
  connectPayload: new Refusal('malformed', '3.1.3-1', '3.1.3-1'),
  clientIdUtf8: new Refusal('malformed', '3.1.3-4'),
  clientIdEmpty: new Refusal('client_id', '3.1.3-8'),
  willTopicUtf8: new Refusal('malformed', '3.1.3-11', '3.1.3-10'),
  willTopicWildcard: new Refusal('topic', '4.7.0-1', '4.7.1-1'),
  usernameUtf8: new Refusal('malformed', '3.1.3-12', '3.1.3-11'),
  receiveMaximumZero: new Refusal('protocol', '3.1.2.11.3', ''),
  maximumPacketSizeZero: new Refusal('protocol', '3.1.2.11.4', ''),
  requestResponse: new Refusal('protocol', '3.1.2.11.6', ''),
  requestProblem: new Refusal('protocol', '3.1.2.11.7', ''),
  dataWithoutMethod: new Refusal('protocol', '3.1.2.11.10', ''),
  authenticationMethod: new Refusal('bad_authentication', '4.12.0-1', ''),
  beforeAuthenticated: new Refusal('protocol', '3.1.2-30', ''),

  // PUBLISH.
  dup: new Refusal('malformed', '3.3.1-2'),
  qos: new Refusal('malformed', '3.3.1-4'),
  topicUtf8: new Refusal('malformed', '3.3.2-1'),
  topicWildcard: new Refusal('topic', '3.3.2-2'),
  topicLevels: new Refusal('topic'),
  topicMissing: new Refusal('protocol', '3.3.2.1', '4.7.3-1'),
  payloadFormat: new Refusal('protocol', '3.3.2.3.2', ''),
  aliasZero: new Refusal('topic_alias', '3.3.2-8', ''),
  aliasTooLarge: new Refusal('topic_alias', '3.3.2-9', ''),
  aliasUnknown: new Refusal('protocol', '3.3.2-7', ''),
  responseTopicUtf8: new Refusal('malformed', '3.3.2-13', ''),
  responseTopicWildcard: new Refusal('protocol', '3.3.2-14', ''),
  contentTypeUtf8: new Refusal('malformed', '3.3.2-19', ''),
  publishSubscriptionId: new Refusal('protocol', '3.3.4-6', ''),
  receiveMaximum: new Refusal('receive_maximum', '3.3.4-7', ''),
  tooLarge: new Refusal('too_large', '3.2.2-15', ''),

  // Acknowledgements.
  pubackReason: new Refusal('protocol', '3.4.2-1', ''),
  pubrecReason: new Refusal('protocol', '3.5.2-1', ''),
  pubrelFlags: new Refusal('malformed', '3.6.1-1'),
  pubrelReason: new Refusal('protocol', '3.6.2-1', ''),
  pubcompReason: new Refusal('protocol', '3.7.2-1', ''),

  /** Of another kind than the message calls for. */
  wrongAnswer: new Refusal('protocol', '4.3.3', '4.3.3'),

  // SUBSCRIBE and UNSUBSCRIBE.
  subscribeFlags: new Refusal('malformed', '3.8.1-1'),
  subscribeFilterUtf8: new Refusal('malformed', '3.8.3-1'),
  subscribeNothing: new Refusal('protocol', '3.8.3-2', '3.8.3-3'),
  subscribeReserved: new Refusal('malformed', '3.8.3-5', '3.8.3-4'),
  subscribeQos: new Refusal('protocol', '3.8.3.1', '3.8.3-4'),
  retainHandling: new Refusal('protocol', '3.8.3.1', '3.8.3-4'),
  subscriptionIdZero: new Refusal('protocol', '3.8.2.1.2', ''),
  sharedNoLocal: new Refusal('protocol', '3.8.3-4', ''),
  unsubscribeFlags: new Refusal('malformed', '3.10.1-1'),
  unsubscribeFilterUtf8: new Refusal('malformed', '3.10.3-1'),
  unsubscribeNothing: new Refusal('protocol', '3.10.3-2'),
  multiLevelWildcard: new Refusal('malformed', '4.7.1-1', '4.7.1-2'),
  singleLevelWildcard: new Refusal('malformed', '4.7.1-2', '4.7.1-3'),
  filterEmpty: new Refusal('malformed', '4.7.3-1'),
  topicNull: new Refusal('malformed', '4.7.3-2'),
  shareName: new Refusal('malformed', '4.8.2-1', ''),
  shareFilter: new Refusal('malformed', '4.8.2-2', ''),

  // DISCONNECT and AUTH.
  disconnectFlags: new Refusal('malformed', '3.14.1-1'),
  disconnectReason: new Refusal('protocol', '3.14.2-1', ''),
  disconnectExpiry: new Refusal('protocol', '3.14.2.2.2', ''),
  authFlags: new Refusal('malformed', '3.15.1-1', '2.2.1'),
  authReason: new Refusal('protocol', '3.15.2-1', ''),
  authMethodMissing: new Refusal('protocol', '3.15.2.2.2', ''),
  authUnexpected: new Refusal('protocol', '4.12.0-6', ''),
  authMethodChanged: new Refusal('protocol', '4.12.0-5', ''),

  // Limits of this broker.
  keepAlive: new Refusal('keep_alive', '3.1.2-22', '3.1.2-24'),
  timeout: new Refusal('timeout'),
  slow: new Refusal('slow'),
  unfinished: new Refusal('unfinished'),
  /** An answer that the client must have is larger than it takes. */
  answerTooLarge: new Refusal('too_large', '3.1.2-24', ''),
  busy: new Refusal('busy'),
  /** The user was there when the client came. */
  userGone: new Refusal('not_authorized'),
  /** What the checks let pass and aedes cannot read. */
  unread: new Refusal('malformed'),
} as const;
