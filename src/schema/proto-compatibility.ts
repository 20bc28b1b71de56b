/**
 * Whether messages that were written by one .proto schema are read rightly by another: as
 * https://protobuf.dev/programming-guides/proto3/#updating says, fields are told by their numbers.
 */
import type { Field, Type } from 'protobufjs';
import type { Narrowing } from './compatibility.ts';

/** Types that are the same on the wire and may stand for each other. */
const families = [
  ['int32', 'uint32', 'int64', 'uint64', 'bool'],
  ['sint32', 'sint64'],
  ['fixed32', 'sfixed32'],
  ['fixed64', 'sfixed64'],
  ['string', 'bytes'],
];

/** What of messages written as `writer` is not read rightly as `reader`. */
export function protoNarrowingsOf(writer: Type, reader: Type): readonly Narrowing[] {
  const found: Narrowing[] = [];
  compare(writer, reader, [], new Set(), found);
  return found;
}

function compare(
  writer: Type,
  reader: Type,
  path: readonly string[],
  seen: Set<string>,
  found: Narrowing[],
): void {
  const pair = `${writer.fullName} ${reader.fullName}`;
  if (seen.has(pair)) return;
  seen.add(pair);
  for (const field of writer.fieldsArray) {
    const at = [...path, field.name].join('.');
    const report = (message: string): void => void found.push({ path: at, message });
    const other = reader.fieldsById[field.id];
    if (other === undefined) {
      const byName = reader.fields[field.name];
      if (byName !== undefined) {
        report(`had the number ${field.id}, now ${byName.id}`);
      } else if (!reader.isReservedId(field.id)) {
        report(`is gone, and its number ${field.id} is not reserved: another could take it`);
      }
      continue;
    }
    if (other.name !== field.name) report(`number ${field.id} is now called ${other.name}`);
    if (other.repeated !== field.repeated || other.map !== field.map) {
      report(`${field.repeated ? 'was repeated' : 'was single'}, which has changed`);
    } else if (!sameOnWire(field, other)) {
      report(`was ${typeOf(field)}, now ${typeOf(other)}`);
    } else if (isMessage(field) && isMessage(other)) {
      compare(
        field.resolvedType as Type,
        other.resolvedType as Type,
        [...path, field.name],
        seen,
        found,
      );
    }
  }
  for (const field of reader.fieldsArray) {
    if (field.required && writer.fieldsById[field.id]?.required !== true) {
      found.push({ path: [...path, field.name].join('.'), message: 'is now required' });
    }
  }
}

function isMessage({ resolvedType }: Field): boolean {
  return resolvedType !== null && 'fieldsArray' in resolvedType;
}

function isEnum({ resolvedType }: Field): boolean {
  return resolvedType !== null && !('fieldsArray' in resolvedType);
}

function sameOnWire(a: Field, b: Field): boolean {
  if (isMessage(a) || isMessage(b)) return isMessage(a) && isMessage(b);
  const [one, other] = [a, b].map((field) => (isEnum(field) ? 'int32' : field.type));
  if (one === other) return true;
  return families.some((family) => family.includes(one!) && family.includes(other!));
}

function typeOf(field: Field): string {
  return field.resolvedType?.name ?? field.type;
}
