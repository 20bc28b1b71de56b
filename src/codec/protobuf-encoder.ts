import type { Field, MapField, Type } from 'protobufjs';
import type { Document } from './codec.ts';
import { nameOf } from './protobuf-plan.ts';

type Members = Readonly<Record<string, Document>>;

/** The bytes of a document as the decoder makes it. Throws for what does not fit the type. */
export function encodeProtobuf(document: Document, type: Type): Uint8Array {
  return type.encode(type.fromObject(messageOf(document, type))).finish();
}

/** What the library takes as a message of the type. */
function messageOf(document: Document, type: Type): Record<string, unknown> {
  const special = specials[nameOf(type)];
  if (special !== undefined) return special(document);
  const members = document as Members;
  return Object.fromEntries(
    type.fieldsArray
      .filter(({ name }) => members[name] !== undefined && members[name] !== null)
      .map((field) => [field.name, fieldOf(members[field.name]!, field)]),
  );
}

function fieldOf(value: Document, field: Field): unknown {
  if (field.map) {
    const entries = Object.entries(value as Members);
    return Object.fromEntries(
      entries.map(([key, each]) => [key, oneOf(each, field as unknown as MapField)]),
    );
  }
  return field.repeated
    ? (value as readonly Document[]).map((each) => oneOf(each, field))
    : oneOf(value, field);
}

function oneOf(value: Document, { resolvedType }: Field | MapField): unknown {
  const isMessage = resolvedType !== null && 'fieldsArray' in resolvedType;
  return isMessage ? messageOf(value, resolvedType as Type) : value;
}

const secondsOf = (seconds: number) => {
  const whole = Math.floor(seconds);
  return { seconds: whole, nanos: Math.round((seconds - whole) * 1e9) };
};
const wrapped = (value: Document) => ({ value });

const specials: Readonly<Record<string, (value: Document) => Record<string, unknown>>> = {
  'google.protobuf.Timestamp': (value) => {
    const seconds = Math.floor(Number(value) / 1_000);
    return { seconds, nanos: Math.round((Number(value) - seconds * 1_000) * 1e6) };
  },
  'google.protobuf.Duration': (value) => secondsOf(Number(value)),
  'google.protobuf.FieldMask': (value) => ({ paths: value === '' ? [] : `${value}`.split(',') }),
  'google.protobuf.Struct': structOf,
  'google.protobuf.ListValue': listOf,
  'google.protobuf.Value': anyOf,
  ...Object.fromEntries(
    ['Double', 'Float', 'Int64', 'UInt64', 'Int32', 'UInt32', 'Bool', 'String', 'Bytes'].map(
      (kind) => [`google.protobuf.${kind}Value`, wrapped],
    ),
  ),
};

function structOf(value: Document) {
  const entries = Object.entries(value as Members);
  return { fields: Object.fromEntries(entries.map(([key, each]) => [key, anyOf(each)])) };
}

function listOf(value: Document) {
  return { values: (value as readonly Document[]).map(anyOf) };
}

function anyOf(value: Document): Record<string, unknown> {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value !== 'object') return { numberValue: Number(value) };
  return Array.isArray(value) ? { listValue: listOf(value) } : { structValue: structOf(value) };
}
