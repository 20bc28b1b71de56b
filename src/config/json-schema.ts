import { z } from 'zod';
import { configSchema } from './config.ts';
import type { Path } from './problem.ts';

/** As much of JSON Schema 2020-12 as the configuration's has. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

let made: JsonSchema | undefined;

/** The JSON Schema (draft 2020-12) of what a configuration file may hold. */
export function configJsonSchema(): JsonSchema {
  made ??= {
    ...(z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchema),
    title: 'Configuration of Tidegate',
  };
  return made;
}

/**
 * The same for an editor: a section may also be null, as it is to YAML while all its lines are
 * commented out.
 */
export function editorSchema(schema: JsonSchema = configJsonSchema()): JsonSchema {
  const { properties, items } = schema;
  if (items !== undefined) return { ...schema, items: editorSchema(items) };
  if (properties === undefined) return schema;
  const sections = Object.entries(properties).map(([key, each]) => {
    const isSection = each.type === 'object' || each.type === 'array';
    const isChoice = each.anyOf?.some(({ type }) => type === 'array') === true;
    if (isChoice) return [key, { ...each, anyOf: [...each.anyOf!, { type: 'null' }] }];
    return [key, isSection ? { ...editorSchema(each), type: [each.type, 'null'] } : each];
  });
  return { ...schema, properties: Object.fromEntries(sections) };
}

/** The schema without its choices: what the value may be, each possibility on its own. */
export function alternativesOf(schema: JsonSchema): readonly JsonSchema[] {
  const choices = schema.anyOf ?? schema.oneOf;
  return choices === undefined ? [schema] : choices.flatMap(alternativesOf);
}

/** What may stand at a path; `root` is the configuration as it is, to tell kinds apart. */
export function alternativesAt(path: Path, root: unknown): readonly JsonSchema[] {
  let schemas = alternativesOf(configJsonSchema());
  let here = root;
  for (const step of path) {
    schemas = fitting(schemas, here).flatMap((schema) => stepInto(schema, step));
    here = (here as Record<string | number, unknown> | undefined | null)?.[step];
  }
  return fitting(schemas, here);
}

/** The alternatives below a key or position. */
export function stepInto(schema: JsonSchema, step: string | number): readonly JsonSchema[] {
  if (typeof step === 'number')
    return schema.items === undefined ? [] : alternativesOf(schema.items);
  const { properties = {}, additionalProperties } = schema;
  if (Object.hasOwn(properties, step)) return alternativesOf(properties[step]!);
  return typeof additionalProperties === 'object' ? alternativesOf(additionalProperties) : [];
}

/** Without the alternatives that are of another kind than the value. */
export function fitting(schemas: readonly JsonSchema[], value: unknown): readonly JsonSchema[] {
  const kind = (value as { kind?: unknown } | undefined | null)?.kind;
  const fit = schemas.filter((schema) => {
    const wanted = schema.properties?.kind?.const;
    return wanted === undefined || wanted === kind;
  });
  return fit.length > 0 ? fit : schemas;
}

/** Every key that one of the alternatives knows; `kind`, which decides about the others, first. */
export function keysOf(schemas: readonly JsonSchema[]): readonly string[] {
  const keys = new Set(schemas.flatMap((schema) => Object.keys(schema.properties ?? {})));
  return keys.delete('kind') ? ['kind', ...keys] : [...keys];
}

/** Whether the alternatives are those of a secret: a text, or where it is kept. */
export function isSecret(schemas: readonly JsonSchema[]): boolean {
  return ['file', 'env', 'credential'].every((place) =>
    schemas.some((schema) => schema.required?.length === 1 && schema.required[0] === place),
  );
}

/** What may stand there, in words: `a number, or a text`. */
export function expectedOf(schemas: readonly JsonSchema[]): string {
  const words = [...new Set(schemas.map(wordsOf))];
  return words.length < 3
    ? words.join(' or ')
    : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function wordsOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  switch (schema.type) {
    case 'string':
      return 'a text';
    case 'integer':
      return 'a whole number';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    case 'object': {
      const keys = Object.keys(schema.properties ?? {});
      return keys.length === 1 ? `{ ${keys[0]}: … }` : 'a mapping of keys';
    }
    default:
      return 'something else';
  }
}
