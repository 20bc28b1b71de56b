import type { JsonSchema } from '../../src/config/json-schema.ts';

/**
 * What a validator of JSON Schema 2020-12 would say, for the keywords that our schema has; a keyword
 * that is not known here is itself a problem.
 */
export function schemaProblems(schema: JsonSchema, value: unknown, path = '$'): string[] {
  return Object.keys(schema).flatMap((keyword) => {
    const check = keywords[keyword];
    if (check === undefined) return [`${path}: the schema has the unknown keyword ${keyword}`];
    return check(schema, value, path);
  });
}

type Check = (schema: JsonSchema, value: unknown, path: string) => string[];
const nothing: Check = () => [];
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const wrong = (isRight: boolean, message: string) => (isRight ? [] : [message]);

const keywords: Readonly<Record<string, Check>> = {
  $schema: nothing,
  title: nothing,
  description: nothing,
  default: nothing,
  format: nothing,
  type: ({ type }, value, path) => {
    const is: Record<string, boolean> = {
      object: isObject(value),
      array: Array.isArray(value),
      string: typeof value === 'string',
      number: typeof value === 'number',
      integer: Number.isInteger(value),
      boolean: typeof value === 'boolean',
      null: value === null,
    };
    const types = [type].flat() as string[];
    return wrong(
      types.some((each) => is[each]),
      `${path} is no ${types.join(' or ')}`,
    );
  },
  const: (schema, value, path) => wrong(schema.const === value, `${path} is not ${schema.const}`),
  enum: (schema, value, path) =>
    wrong(schema.enum!.includes(value), `${path} is none of ${schema.enum}`),
  not: (schema, value, path) =>
    wrong(schemaProblems(schema.not as JsonSchema, value).length > 0, `${path} must not be`),
  pattern: ({ pattern }, value, path) =>
    wrong(
      typeof value !== 'string' || new RegExp(pattern as string, 'u').test(value),
      `${path} does not match`,
    ),
  minLength: ({ minLength }, value, path) =>
    wrong(typeof value !== 'string' || value.length >= Number(minLength), `${path} is short`),
  maxLength: ({ maxLength }, value, path) =>
    wrong(typeof value !== 'string' || value.length <= Number(maxLength), `${path} is long`),
  minimum: ({ minimum }, value, path) =>
    wrong(typeof value !== 'number' || value >= Number(minimum), `${path} is too small`),
  exclusiveMinimum: ({ exclusiveMinimum }, value, path) =>
    wrong(typeof value !== 'number' || value > Number(exclusiveMinimum), `${path} is too small`),
  maximum: ({ maximum }, value, path) =>
    wrong(typeof value !== 'number' || value <= Number(maximum), `${path} is too large`),
  minItems: ({ minItems }, value, path) =>
    wrong(!Array.isArray(value) || value.length >= Number(minItems), `${path} is short`),
  maxItems: ({ maxItems }, value, path) =>
    wrong(!Array.isArray(value) || value.length <= Number(maxItems), `${path} is long`),
  items: ({ items }, value, path) =>
    Array.isArray(value)
      ? value.flatMap((each, index) => schemaProblems(items!, each, `${path}[${index}]`))
      : [],
  properties: ({ properties }, value, path) =>
    isObject(value)
      ? Object.entries(value).flatMap(([key, each]) =>
          Object.hasOwn(properties!, key)
            ? schemaProblems(properties![key]!, each, `${path}.${key}`)
            : [],
        )
      : [],
  required: ({ required }, value, path) =>
    isObject(value)
      ? required!.filter((key) => !Object.hasOwn(value, key)).map((key) => `${path}.${key} lacks`)
      : [],
  propertyNames: ({ propertyNames }, value, path) =>
    isObject(value)
      ? Object.keys(value).flatMap((key) =>
          schemaProblems(propertyNames as JsonSchema, key, `${path}.${key}`),
        )
      : [],
  additionalProperties: ({ additionalProperties: rest, properties = {} }, value, path) => {
    if (!isObject(value)) return [];
    const others = Object.entries(value).filter(([key]) => !Object.hasOwn(properties, key));
    if (typeof rest !== 'object') {
      return rest === false ? others.map(([key]) => `${path}.${key} is unknown`) : [];
    }
    return others.flatMap(([key, each]) => schemaProblems(rest, each, `${path}.${key}`));
  },
  anyOf: ({ anyOf }, value, path) =>
    wrong(
      anyOf!.some((each) => schemaProblems(each, value).length === 0),
      `${path} fits none: ${anyOf!.flatMap((each) => schemaProblems(each, value, path)).join('; ')}`,
    ),
  oneOf: ({ oneOf }, value, path) => {
    const fit = oneOf!.filter((each) => schemaProblems(each, value).length === 0);
    const why = oneOf!.flatMap((each) => schemaProblems(each, value, path)).join('; ');
    return wrong(fit.length === 1, `${path} fits ${fit.length}: ${why}`);
  },
};
