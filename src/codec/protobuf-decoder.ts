import type { Document } from './codec.ts';
import {
  defaultOf,
  type FieldPlan,
  kinds,
  type MessagePlan,
  type ValueKind,
  wireTypeOf,
} from './protobuf-plan.ts';
import { WireReader, wireTypes } from './protobuf-wire.ts';

/** Messages may stand within each other this deep. */
const levelsMax = 32;
/** Elements of lists and entries of maps, in one payload. */
const elementsMax = 20_000;

type Members = Record<string, Document>;

/**
 * Reads payloads by a plan. Throws `DecodeError`, naming the field and the byte, for bytes that are
 * not such a message: cut off, of other wire types than the schema's, with no field that it knows,
 * without one that it requires, or beyond the limits. Fields that nobody knows are passed over, for
 * a newer device may send more.
 */
export class ProtobufDecoder {
  private readonly reader = new WireReader();
  private elements = 0;
  /** Fields of the outermost message that the schema knows. */
  private known = 0;

  decode(payload: Uint8Array, plan: MessagePlan): Document {
    const { reader } = this;
    reader.open(payload, plan.name);
    this.elements = 0;
    this.known = 0;
    try {
      const document = this.message(plan, 0, undefined, 0);
      if (this.known === 0 && payload.byteLength > 0) {
        reader.fail('it has no field of this message; it may be another', 0);
      }
      return document;
    } finally {
      reader.close();
    }
  }

  /** To the end of the reader, or of the group with that number, which is then passed. */
  private message(
    plan: MessagePlan,
    level: number,
    into: Members | undefined,
    group: number,
  ): Document {
    const { reader } = this;
    const { end } = reader;
    if (level > levelsMax) reader.fail(`nested deeper than ${levelsMax} levels`, reader.at);
    const members: Members = into ?? { ...plan.defaults };
    let isClosed = group === 0;
    while (reader.at < end) {
      reader.place = plan.name;
      const tag = reader.tag();
      const id = tag >>> 3;
      if ((tag & 7) === 4 && id === group) {
        isClosed = true;
        break;
      }
      const field = id < 256 ? plan.low[id] : plan.high.get(id);
      if (field === undefined) reader.skip(tag);
      else {
        if (level === 0) this.known++;
        reader.place = field.place;
        this.field(members, field, tag & 7, level);
      }
    }
    reader.place = plan.name;
    if (!isClosed) reader.fail('the group does not end', reader.at);
    for (const name of plan.required) {
      if (members[name] === undefined) reader.fail(`${name} is required and missing`, reader.at);
    }
    return plan.special === undefined ? members : plan.special(members);
  }

  private field(members: Members, field: FieldPlan, wireType: number, level: number): void {
    const { name } = field;
    if (field.keyKind !== undefined || field.repeated) {
      this.several(members, field, wireType, level);
      return;
    }
    if (wireType !== field.wireType) this.mismatch(field, wireType);
    const { rivals } = field;
    for (let index = 0; index < rivals.length; index++) {
      if (members[rivals[index]!] !== undefined) delete members[rivals[index]!];
    }
    const { kind } = field;
    members[name] =
      kind < kinds.message
        ? this.scalar(kind, field)
        : this.nested(field, level, mergeable(field, members[name]));
  }

  private several(members: Members, field: FieldPlan, wireType: number, level: number): void {
    const { reader } = this;
    const { name } = field;
    if (field.keyKind !== undefined) {
      if (wireType !== 2) this.mismatch(field, wireType);
      members[name] ??= {};
      this.entry(members[name] as Members, field, level);
      return;
    }
    members[name] ??= [];
    const list = members[name] as Document[];
    if (wireType === field.wireType) {
      this.count();
      list.push(
        field.kind < kinds.message ? this.scalar(field.kind, field) : this.nested(field, level),
      );
      return;
    }
    if (wireType !== 2 || field.kind >= kinds.string) this.mismatch(field, wireType);
    const length = reader.length();
    const { end } = reader;
    reader.end = reader.at + length;
    while (reader.at < reader.end) {
      this.count();
      list.push(this.scalar(field.kind, field));
    }
    reader.end = end;
  }

  private nested(field: FieldPlan, level: number, into?: Members): Document {
    const { reader } = this;
    if (field.kind === kinds.group) return this.message(field.message!, level + 1, into, field.id);
    const length = reader.length();
    const { end } = reader;
    reader.end = reader.at + length;
    const document = this.message(field.message!, level + 1, into, 0);
    reader.end = end;
    return document;
  }

  /** A map is a list of messages with the key as field 1 and the value as field 2. */
  private entry(map: Members, field: FieldPlan, level: number): void {
    const { reader } = this;
    this.count();
    const length = reader.length();
    const { end } = reader;
    reader.end = reader.at + length;
    const keyKind = field.keyKind!;
    let key: Document = defaultOf({ kind: keyKind, names: undefined });
    let value: Document | undefined;
    while (reader.at < reader.end) {
      const tag = reader.tag();
      if (tag >>> 3 === 1 && (tag & 7) === wireTypeOf[keyKind]) key = this.scalar(keyKind, field);
      else if (tag >>> 3 === 2) {
        if ((tag & 7) !== wireTypeOf[field.kind]) this.mismatch(field, tag & 7);
        value =
          field.kind < kinds.message ? this.scalar(field.kind, field) : this.nested(field, level);
      } else reader.skip(tag);
    }
    reader.end = end;
    const name = `${key}`;
    if (name !== '__proto__') map[name] = value ?? emptyOf(field);
  }

  private scalar(kind: ValueKind, field: FieldPlan): Document {
    const { reader } = this;
    switch (kind) {
      case kinds.double:
        return finite(reader.double());
      case kinds.float:
        return finite(reader.float());
      case kinds.int32:
        return reader.int32();
      case kinds.uint32:
        return reader.uint32();
      case kinds.sint32:
        return reader.sint32();
      case kinds.bool:
        return reader.bool();
      case kinds.enum: {
        const number = reader.int32();
        return field.names?.get(number) ?? number;
      }
      case kinds.fixed32:
        return reader.fixed32();
      case kinds.sfixed32:
        return reader.fixed32() | 0;
      case kinds.int64:
        return reader.int64();
      case kinds.uint64:
        return reader.uint64();
      case kinds.sint64:
        return reader.sint64();
      case kinds.fixed64:
        return reader.fixed64();
      case kinds.sfixed64:
        return reader.sfixed64();
      case kinds.string:
        return reader.string();
      default:
        return reader.slice().toString('base64');
    }
  }

  private count(): void {
    if (++this.elements > elementsMax) {
      this.reader.fail(`more than ${elementsMax} elements in one message`, this.reader.at);
    }
  }

  private mismatch(field: FieldPlan, wireType: number): never {
    const { reader } = this;
    const wanted = wireTypes[field.keyKind === undefined ? field.wireType : 2];
    return reader.fail(
      `the schema wants ${wanted} here, and this is ${wireTypes[wireType]}`,
      reader.at,
    );
  }
}

/** By NaN and the infinities a sensor says that it has no value. */
function finite(value: number): number | null {
  return value - value === 0 ? value : null;
}

/** A message that comes in parts is one; what stands for something simpler is replaced. */
function mergeable(field: FieldPlan, there: Document | undefined): Members | undefined {
  if (there === undefined || field.message!.special !== undefined) return undefined;
  return there as Members;
}

function emptyOf(field: FieldPlan): Document {
  const { message } = field;
  if (message === undefined) return defaultOf(field);
  const members = { ...message.defaults };
  return message.special === undefined ? members : message.special(members);
}
