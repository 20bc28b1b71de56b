import type { EventData, MessageProperties } from './event.ts';

/** Bytes in JSON: as text where they are text. */
export type BytesJson = { readonly text: string } | { readonly base64: string };

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function bytesJson(bytes: Uint8Array): BytesJson {
  try {
    return { text: decoder.decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') };
  }
}

export function bytesOfJson(json: BytesJson): Buffer {
  return 'text' in json ? Buffer.from(json.text) : Buffer.from(json.base64, 'base64');
}

type PropertiesJson = Omit<MessageProperties, 'correlationData'> & {
  readonly correlationData?: string;
};

/** The same with `correlationData` in base64. */
export function propertiesJson(properties: MessageProperties): PropertiesJson {
  const { correlationData, ...rest } = properties;
  if (correlationData === undefined) return rest;
  return { ...rest, correlationData: Buffer.from(correlationData).toString('base64') };
}

export function propertiesOfJson(json: PropertiesJson): MessageProperties {
  const { correlationData, ...rest } = json;
  if (correlationData === undefined) return rest;
  return { ...rest, correlationData: Buffer.from(correlationData, 'base64') };
}

/** A message as JSON can hold it. */
export type MessageJson = Omit<EventData['message'], 'payload' | 'properties'> & {
  readonly payload: BytesJson;
  readonly properties?: PropertiesJson;
};

export function messageJson(data: EventData['message']): MessageJson {
  const { payload, qos, retain, topic, properties, from, to, incomingId } = data;
  return {
    payload: bytesJson(payload),
    qos,
    retain,
    ...(topic === undefined ? {} : { topic }),
    ...(properties === undefined ? {} : { properties: propertiesJson(properties) }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(incomingId === undefined ? {} : { incomingId }),
  };
}

export function messageOfJson(json: MessageJson): EventData['message'] {
  const { payload, properties, ...rest } = json;
  return {
    ...rest,
    payload: bytesOfJson(payload),
    ...(properties === undefined ? {} : { properties: propertiesOfJson(properties) }),
  };
}
