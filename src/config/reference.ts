/**
 * The reference of the configuration for people: one table for each section, made from the JSON
 * Schema, so that it says what is checked.
 */
import { alternativesOf, isSecret, type JsonSchema } from './json-schema.ts';

interface Row {
  readonly path: string;
  readonly type: string;
  readonly standard: string;
  readonly description: string;
}

/** The reference as Markdown. */
export function referenceOf(schema: JsonSchema): string {
  const sections = Object.entries(schema.properties ?? {}).map(([name, section]) => {
    const lines = [`### ${name}`, '', section.description ?? ''];
    const kinds = kindsIn(section);
    const inner = innerOf(section);
    if (kinds.length > 0) return [...lines, '', ...kindTables(name, kinds)];
    if (inner === undefined) return lines;
    return [...lines, '', ...tableOf(rowsIn(inner, isList(section) ? '[]' : ''))];
  });
  return `${sections.map((lines) => lines.join('\n').trimEnd()).join('\n\n')}\n`;
}

/** The options of every kind of codec: a table of Markdown by its name; none for one without. */
export function codecReferencesOf(schema: JsonSchema): ReadonlyMap<string, string> {
  const codec = innerOf(schema.properties?.ingest ?? {})?.properties?.codec;
  const kinds = codec === undefined ? [] : alternativesOf(codec);
  const tables = kinds.flatMap(({ required = [], properties = {} }) => {
    const { kind, ...own } = properties;
    const lines = tableOf(rowsIn({ required, properties: own }, ''));
    return kind === undefined || lines.length === 0
      ? []
      : [[String(kind.const), `${lines.join('\n')}\n`] as const];
  });
  return new Map(tables);
}

/** What a section of named parts may hold: one alternative for each kind. */
function kindsIn(section: JsonSchema): readonly JsonSchema[] {
  const { additionalProperties: part } = section;
  if (typeof part !== 'object') return [];
  return alternativesOf(part).filter((each) => each.properties?.kind !== undefined);
}

/** What all kinds have in common is said once. */
function kindTables(section: string, kinds: readonly JsonSchema[]): string[] {
  const isCommon = (key: string) => {
    const [first, ...others] = kinds.map((kind) => withoutDefaults(kind.properties?.[key]));
    return key !== 'kind' && others.every((each) => each === first);
  };
  const only = (
    { required = [], properties = {} }: JsonSchema,
    wanted: (key: string) => boolean,
  ) => ({
    required,
    properties: Object.fromEntries(Object.entries(properties).filter(([key]) => wanted(key))),
  });
  const lines: string[] = [];
  for (const kind of kinds) {
    const own = only(kind, (key) => key !== 'kind' && !isCommon(key));
    lines.push(`#### ${section}: kind ${kind.properties!.kind!.const}`, '');
    lines.push(...tableOf(rowsIn(own, '')), '');
  }
  const shared = kinds.map((kind) => tableOf(rowsIn(only(kind, isCommon), '')));
  // A default that is not the same for every kind is none of the common table.
  const rows = rowsIn(only(kinds[0]!, isCommon), '').map((row, index) =>
    shared.every((table) => table[index + 2] === shared[0]![index + 2])
      ? row
      : { ...row, standard: 'as suits the kind' },
  );
  if (rows.length > 0) lines.push(`#### ${section}: every kind`, '', ...tableOf(rows), '');
  return lines;
}

function withoutDefaults(schema: JsonSchema | undefined): string {
  return JSON.stringify(schema, (key, value) => (key === 'default' ? undefined : value)) ?? '';
}

function tableOf(rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const cell = (text: string) => text.replace(/[|<*]/g, '\\$&').replaceAll('\n', ' ');
  return [
    '| key | value | default | |',
    '|---|---|---|---|',
    ...rows.map(
      ({ path, type, standard, description }) =>
        `| \`${path}\` | ${cell(type)} | ${cell(standard)} | ${cell(description)} |`,
    ),
  ];
}

/** The keys of a mapping, those of mappings and lists in it too. */
function rowsIn(schema: JsonSchema, prefix: string): Row[] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([key, each]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const inner = innerOf(each);
    const isPlainMapping = inner !== undefined && each.type === 'object';
    const row: Row = {
      path,
      type: typeOf(each),
      standard: required.has(key) ? '*needed*' : defaultOf(each, isPlainMapping),
      description: each.description ?? '',
    };
    if (inner === undefined) return [row];
    return [row, ...rowsIn(inner, each.type === 'array' ? `${path}[]` : path)];
  });
}

/** The mapping that a value, or each entry of it, is. */
function innerOf(schema: JsonSchema): JsonSchema | undefined {
  const inner = schema.type === 'array' ? schema.items : schema;
  if (inner?.properties !== undefined) return inner;
  // Of several lists or mappings, all their keys.
  const parts = alternativesOf(inner ?? {}).flatMap((each): JsonSchema[] => {
    const part = each === inner ? undefined : innerOf(each);
    return part === undefined ? [] : [part];
  });
  if (parts.length === 0 || !isList(schema)) return undefined;
  const all = parts.toReversed().flatMap(({ properties = {} }) => Object.entries(properties));
  return { properties: Object.fromEntries(all), required: [] };
}

function isList(schema: JsonSchema): boolean {
  return alternativesOf(schema).some(({ type }) => type === 'array');
}

function defaultOf(schema: JsonSchema, isMapping: boolean): string {
  const { default: standard } = schema;
  if (standard === undefined || isMapping || JSON.stringify(standard) === '{}') return '';
  return `\`${typeof standard === 'object' ? JSON.stringify(standard) : String(standard)}\``;
}

function typeOf(schema: JsonSchema): string {
  const alternatives = alternativesOf(schema);
  if (isSecret(alternatives)) return 'secret';
  if (isSize(alternatives)) return 'size';
  const words = alternatives.map(wordOf);
  return [...new Set(words)].join(' or ');
}

/** Of all that may be a number, only sizes may also be a text. */
function isSize(alternatives: readonly JsonSchema[]): boolean {
  const types = alternatives.map(({ type }) => type);
  return types.length === 2 && types.includes('integer') && types.includes('string');
}

function wordOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum !== undefined) return schema.enum.map((each) => `\`${each}\``).join(' ');
  switch (schema.type) {
    case 'string':
      return String(schema.pattern ?? '').includes('(ms|s|m|h|d)') ? 'duration' : 'text';
    case 'integer':
    case 'number':
      return boundsOf(schema);
    case 'boolean':
      return '`true` `false`';
    case 'array':
      return `list of ${schema.items === undefined ? 'anything' : typeOf(schema.items)}`;
    default:
      break;
  }
  const keys = Object.keys(schema.properties ?? {});
  if (keys.length === 1 && schema.required?.length === 1) return `\`{ ${keys[0]}: … }\``;
  const { additionalProperties: each } = schema;
  return typeof each === 'object' ? `names, each with ${typeOf(each)}` : 'mapping';
}

function boundsOf({ type, minimum, maximum }: JsonSchema): string {
  const word = type === 'integer' ? 'integer' : 'number';
  const least =
    typeof minimum === 'number' && minimum > Number.MIN_SAFE_INTEGER ? minimum : undefined;
  const most =
    typeof maximum === 'number' && maximum < Number.MAX_SAFE_INTEGER ? maximum : undefined;
  if (least !== undefined && most !== undefined) return `${word} ${least} to ${most}`;
  if (least !== undefined) return `${word} from ${least}`;
  return most === undefined ? word : `${word} to ${most}`;
}
