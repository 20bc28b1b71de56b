import type { Enum, Field, MapField, Type } from 'protobufjs';
import type { Document } from './codec.ts';

/** How one value stands on the wire and what it becomes. */
export const kinds = {
  double: 0,
  float: 1,
  int32: 2,
  uint32: 3,
  sint32: 4,
  bool: 5,
  enum: 6,
  fixed32: 7,
  sfixed32: 8,
  int64: 9,
  uint64: 10,
  sint64: 11,
  fixed64: 12,
  sfixed64: 13,
  string: 14,
  bytes: 15,
  message: 16,
  group: 17,
} as const;

export type ValueKind = (typeof kinds)[keyof typeof kinds];

/** The wire type of each kind. */
export const wireTypeOf: readonly number[] = [1, 5, 0, 0, 0, 0, 0, 5, 5, 0, 0, 0, 1, 1, 2, 2, 2, 3];

/** Everything there is to know about a field while its bytes are read. */
export interface FieldPlan {
  readonly name: string;
  /** `plant.Reading.temperature`, for the words of an error. */
  readonly place: string;
  readonly id: number;
  readonly kind: ValueKind;
  readonly wireType: number;
  readonly repeated: boolean;
  /** Of a map: how the keys stand on the wire. */
  readonly keyKind: ValueKind | undefined;
  readonly message: MessagePlan | undefined;
  /** Names by number; undefined where numbers are wanted. */
  readonly names: ReadonlyMap<number, string> | undefined;
  /** The other members of its oneof: the last one on the wire counts. */
  readonly rivals: readonly string[];
}

export interface MessagePlan {
  readonly name: string;
  /** Fields with a number below 256, by that number. */
  readonly low: (FieldPlan | undefined)[];
  readonly high: Map<number, FieldPlan>;
  /** What fields without presence are when they are not there. */
  readonly defaults: Record<string, Document>;
  readonly required: string[];
  /** Makes the value of a well-known type from its fields. */
  readonly special: ((fields: Readonly<Record<string, Document>>) => Document) | undefined;
  readonly type: Type;
}

export interface PlanOptions {
  readonly defaults: 'include' | 'omit';
  readonly enums: 'name' | 'number';
}

export type PlanOf = (type: Type) => MessagePlan;

/** Compiles message types once each, those they hold included. */
export function createPlans(options: PlanOptions): PlanOf {
  const plans = new Map<Type, MessagePlan>();
  const planOf: PlanOf = (type) => {
    const known = plans.get(type);
    if (known !== undefined) return known;
    const special = specials[nameOf(type)];
    const plan: MessagePlan = {
      name: nameOf(type),
      low: [],
      high: new Map(),
      defaults: {},
      required: [],
      special,
      type,
    };
    // Before its fields: a message may hold itself.
    plans.set(type, plan);
    for (const field of type.fieldsArray) addField(plan, field, planOf, options);
    return plan;
  };
  return planOf;
}

function addField(plan: MessagePlan, field: Field, planOf: PlanOf, options: PlanOptions): void {
  const { name, id, repeated, map } = field.resolve();
  // Assigning it would mean the prototype; no sensor is called so.
  if (name === '__proto__') return;
  const { resolvedType } = field;
  const isMessage = resolvedType !== null && 'fields' in resolvedType;
  const kind = isMessage
    ? field.delimited
      ? kinds.group
      : kinds.message
    : resolvedType === null
      ? kinds[field.type as keyof typeof kinds]
      : kinds.enum;
  const names = kind === kinds.enum ? namesOf(resolvedType as Enum) : undefined;
  const each: FieldPlan = {
    name,
    place: `${plan.name}.${name}`,
    id,
    kind,
    wireType: map ? 2 : wireTypeOf[kind]!,
    repeated,
    keyKind: map ? kinds[(field as unknown as MapField).keyType as keyof typeof kinds] : undefined,
    message: isMessage ? planOf(resolvedType as Type) : undefined,
    names: options.enums === 'name' ? names : undefined,
    rivals: (field.partOf?.fieldsArray ?? []).map((rival) => rival.name).filter((n) => n !== name),
  };
  if (id < 256) plan.low[id] = each;
  else plan.high.set(id, each);
  if (field.required) plan.required.push(name);
  const isImplicit = !field.hasPresence && !repeated && !map && !isMessage;
  const isWanted = options.defaults === 'include' || plan.special !== undefined;
  if (isImplicit && isWanted) plan.defaults[name] = defaultOf(each);
}

/** Of several names for one number, the first. */
function namesOf(type: Enum): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, number] of Object.entries(type.values)) {
    if (!names.has(number)) names.set(number, name);
  }
  return names;
}

/** What a value is whose bytes are left out. */
export function defaultOf({ kind, names }: Pick<FieldPlan, 'kind' | 'names'>): Document {
  if (kind === kinds.string || kind === kinds.bytes) return '';
  if (kind === kinds.bool) return false;
  return names?.get(0) ?? 0;
}

export function nameOf(type: Type): string {
  return type.fullName.replace(/^\./, '');
}

type Special = (fields: Readonly<Record<string, Document>>) => Document;

const inSeconds = ({ seconds, nanos }: Readonly<Record<string, Document>>): number =>
  Number(seconds) + Number(nanos) / 1e9;
const theValue: Special = (fields) => fields.value!;

/** Messages that stand for something simpler, as in the JSON mapping of Protocol Buffers. */
const specials: Readonly<Record<string, Special>> = {
  /** Milliseconds since the epoch. */
  'google.protobuf.Timestamp': ({ seconds, nanos }) =>
    Number(seconds) * 1_000 + Number(nanos) / 1e6,
  'google.protobuf.Duration': inSeconds,
  'google.protobuf.FieldMask': ({ paths }) => ((paths as readonly string[]) ?? []).join(),
  'google.protobuf.Struct': ({ fields }) => fields ?? {},
  'google.protobuf.ListValue': ({ values }) => values ?? [],
  'google.protobuf.Value': (fields) => {
    for (const name in fields) return name === 'nullValue' ? null : fields[name]!;
    return null;
  },
  ...Object.fromEntries(
    ['Double', 'Float', 'Int64', 'UInt64', 'Int32', 'UInt32', 'Bool', 'String', 'Bytes'].map(
      (kind) => [`google.protobuf.${kind}Value`, theValue],
    ),
  ),
};
