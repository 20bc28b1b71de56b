/**
 * Sparkplug B (Eclipse Sparkplug 3.0) as a host reads it. The topic says what a message is:
 *
 *   spBv1.0/<group>/NBIRTH|NDATA|NDEATH|NCMD/<node>
 *   spBv1.0/<group>/DBIRTH|DDATA|DDEATH|DCMD/<node>/<device>
 *   spBv1.0/STATE/<host>
 *
 * A birth names the metrics and their aliases, data refers to them, a death says who is gone. When
 * a number is missing in the sequence of a node, or something is not understood without a birth,
 * the node is asked for its birth by a command.
 */
import { z } from 'zod';
import {
  type Codec,
  type CodecKind,
  DecodeError,
  type Found,
  type FoundReading,
  type Reply,
} from './codec.ts';
import { jsonCodec } from './json.ts';
import { payloadDocument, payloadOf } from './sparkplug-document.ts';
import { Births, type EdgeNode, EdgeNodes } from './sparkplug-nodes.ts';
import { type Payload, readPayload, unsignedOf } from './sparkplug-payload.ts';
import { Gathering } from './sparkplug-readings.ts';

const namespace = 'spBv1.0';
/** Topics whose meaning is remembered. */
const topicsMax = 10_000;

const options = z.strictObject({
  hostId: z
    .string()
    .regex(/^[^+#/]{1,128}$/, 'must be a name without /, + and #')
    .optional()
    .describe(
      'Makes the gateway a primary host of that name: it says on spBv1.0/STATE/<hostId> whether it is there. Edge nodes may wait for it.',
    ),
  deviceNames: z
    .enum(['node', 'group'])
    .default('node')
    .describe(
      'node: <node> and <node>/<device>. group: <group>/ before it, for groups that share names of nodes.',
    ),
});
export type SparkplugOptions = z.output<typeof options>;

/** Where a primary host says whether it is there, and in which words (clause 6.4.22). */
export function hostState(hostId: string, online: boolean, timestamp: number): Reply {
  const payload = Buffer.from(JSON.stringify({ online, timestamp }));
  return { topic: `${namespace}/STATE/${hostId}`, payload };
}

/** What a topic means; the same object for every message on it. */
interface Address {
  readonly type: string;
  readonly group: string;
  readonly nodeId: string;
  /** Undefined for the node itself. */
  readonly deviceId: string | undefined;
  /** What readings call it. */
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * `find` gives the readings of a message as a host understands it, with the state of all edge nodes
 * it has heard; `decode` and `encode` are for the payload alone, see `sparkplug-document.ts`.
 */
export function createSparkplugCodec(options: SparkplugOptions): Codec {
  const nodes = new EdgeNodes();
  const addressOf = createAddressing(options.deviceNames);
  return {
    name: 'sparkplug',
    contentType: 'application/x-protobuf',
    decode: payloadDocument,
    encode: payloadOf,
    find(bytes, topic, receivedAt) {
      const address = addressOf(topic);
      if (address.type === 'STATE') return stateOf(bytes, address);
      // A command is not a fact about a device: what comes of it will be said as data.
      if (address.type.endsWith('CMD')) return nothing;
      const payload = readPayload(bytes);
      const host = { nodes, node: nodes.get(`${address.group}/${address.nodeId}`), receivedAt };
      return handlers[address.type]!(payload, address, host);
    },
  };
}

export const sparkplug = {
  options,
  create: createSparkplugCodec,
  namesDevices: true,
} as const satisfies CodecKind;

const nothing: Found = { readings: [] };

function createAddressing(naming: SparkplugOptions['deviceNames']): (topic: string) => Address {
  const known = new Map<string, Address>();
  return (topic) => {
    let address = known.get(topic);
    if (address !== undefined) return address;
    address = parseTopic(topic, naming);
    if (known.size >= topicsMax) known.delete(known.keys().next().value!);
    known.set(topic, address);
    return address;
  };
}

function parseTopic(topic: string, naming: SparkplugOptions['deviceNames']): Address {
  const [start, group = '', type = '', nodeId = '', deviceId, ...more] = topic.split('/');
  if (start === namespace && group === 'STATE' && type !== '' && nodeId === '') {
    return { type: 'STATE', group, nodeId: type, deviceId: undefined, name: type, tags: {} };
  }
  const isOfDevice = type.startsWith('D');
  const isWhole = group !== '' && nodeId !== '' && more.length === 0;
  const fits = isOfDevice ? deviceId !== undefined && deviceId !== '' : deviceId === undefined;
  if (start !== namespace || !isWhole || !fits || !isKnown(type)) {
    throw new DecodeError('Not a topic of Sparkplug B: spBv1.0/<group>/<type>/<node>[/<device>].');
  }
  const short = deviceId === undefined ? nodeId : `${nodeId}/${deviceId}`;
  const name = naming === 'group' ? `${group}/${short}` : short;
  return { type, group, nodeId, deviceId, name, tags: Object.freeze({ group }) };
}

function isKnown(type: string): boolean {
  return Object.hasOwn(handlers, type) || type === 'NCMD' || type === 'DCMD';
}

/** Another host says whether it is there: JSON since 3.0, a word before it. */
function stateOf(bytes: Uint8Array, { name, tags }: Address): Found {
  const text = Buffer.from(bytes).toString('latin1').trim();
  const document =
    text === 'ONLINE' || text === 'OFFLINE'
      ? { online: text === 'ONLINE' }
      : jsonCodec.decode(bytes);
  const { online, timestamp } = (document ?? {}) as { online?: unknown; timestamp?: unknown };
  if (typeof online !== 'boolean')
    throw new DecodeError('A STATE says { "online": true or false }.');
  const time = typeof timestamp === 'number' ? timestamp : undefined;
  return { readings: [{ ...status(name, online), tags, time }] };
}

function status(device: string, online: boolean) {
  return { device, measurement: 'status', fields: { online } };
}

interface Host {
  readonly nodes: EdgeNodes;
  readonly node: EdgeNode;
  readonly receivedAt: number;
}

type Handler = (payload: Payload, address: Address, host: Host) => Found;

const handlers: Readonly<Record<string, Handler>> = {
  NBIRTH(payload, address, { nodes, node }) {
    nodes.change(node, () => {
      // Its devices, too, are to be born again.
      node.die();
      node.births = new Births();
      node.births.learn(payload.metrics);
    });
    node.seq = payload.seq;
    node.bdSeq = bdSeqOf(payload);
    return bornOf(payload, address, node.births!);
  },

  DBIRTH(payload, address, host) {
    const { nodes, node } = host;
    const inOrder = node.births !== undefined && node.follows(payload.seq);
    const births = new Births();
    births.learn(payload.metrics);
    nodes.change(node, () => node.devices.set(address.deviceId!, births));
    const found = bornOf(payload, address, births);
    return inOrder ? found : asking(found, address, host);
  },

  NDATA: data,
  DDATA: data,

  NDEATH(payload, address, { nodes, node }) {
    const bdSeq = bdSeqOf(payload);
    if (bdSeq !== undefined && node.bdSeq !== undefined && bdSeq !== node.bdSeq) {
      const problem = `The death is of an earlier session, bdSeq ${bdSeq}; the node lives on with ${node.bdSeq}.`;
      return { readings: [], problem };
    }
    // The time in it is that of the connection, for which it was made as the last will.
    const gone: FoundReading[] = [{ ...status(address.name, false), tags: address.tags }];
    for (const device of node.devices.keys()) {
      gone.push({ ...status(`${address.name}/${device}`, false), tags: address.tags });
    }
    nodes.change(node, () => node.die());
    return { readings: gone };
  },

  DDEATH(payload, address, host) {
    const { nodes, node } = host;
    const inOrder = node.births !== undefined && node.follows(payload.seq);
    nodes.change(node, () => node.devices.delete(address.deviceId!));
    const { name, tags } = address;
    const found = { readings: [{ ...status(name, false), tags, time: payload.timestamp }] };
    return inOrder ? found : asking(found, address, host);
  },
};

function bdSeqOf({ metrics }: Payload): number | undefined {
  const metric = metrics.find(({ name }) => name === 'bdSeq');
  return metric === undefined ? undefined : Number(unsignedOf(metric));
}

function bornOf(payload: Payload, address: Address, births: Births): Found {
  const { name, tags } = address;
  const gathering = new Gathering();
  gathering.add(payload, births, undefined);
  const online: FoundReading = { ...status(name, true), tags, time: payload.timestamp };
  return {
    readings: [online, ...gathering.readingsOf(name, tags)],
    problem: gathering.problem,
  };
}

function data(payload: Payload, address: Address, host: Host): Found {
  const { node } = host;
  const isBorn = node.births !== undefined;
  const inOrder = isBorn && node.follows(payload.seq);
  const { deviceId } = address;
  const births = deviceId === undefined ? node.births : node.devices.get(deviceId);
  const gathering = new Gathering();
  gathering.add(payload, births, deviceId === undefined ? undefined : node.births);
  const readings = gathering.readingsOf(address.name, address.tags);
  const { problem } = gathering;
  if (readings.length === 0 && problem === undefined) {
    throw new DecodeError('No metric in it has a value.');
  }
  const found = { readings, problem };
  const isClear = inOrder && births !== undefined && !gathering.hasUnknown;
  return isClear ? found : asking(found, address, host);
}

/** With a command to the node that asks for its birth, unless it was asked a moment ago. */
function asking(found: Found, { group, nodeId }: Address, host: Host): Found {
  const { receivedAt } = host;
  if (!host.nodes.mayAsk(host.node, receivedAt)) return found;
  const metric = {
    name: 'Node Control/Rebirth',
    timestamp: receivedAt,
    datatype: 'Boolean',
    value: true,
  };
  const payload = payloadOf({ timestamp: receivedAt, metrics: [metric] });
  return { ...found, replies: [{ topic: `${namespace}/${group}/NCMD/${nodeId}`, payload }] };
}
