import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import type { EventData } from '../event/event.ts';
import { boundedRegExp, PatternTimeout } from './bounded-regexp.ts';
import type { JsonSchemaNode } from './compatibility.ts';

/** Says what is wrong with the data of a reading, or undefined. */
export type Validator = (data: EventData['reading']) => string | undefined;

/** To a library it is a function that knows how it is called in generated code; none is generated here. */
const regExp = Object.assign(boundedRegExp, { code: 'boundedRegExp' });
const options = { strict: false, validateFormats: false, logger: false, code: { regExp } } as const;

/**
 * A validator of draft 2020-12, or of draft 7 where `$schema` says so. The library is loaded when it
 * is asked for. Nothing is fetched. Throws an Error for what is no JSON Schema.
 */
export async function createValidator(schema: JsonSchemaNode): Promise<Validator> {
  const isOld = typeof schema === 'object' && /draft-0[4-7]/.test(String(schema.$schema ?? ''));
  const draft = await (isOld ? draft7() : draft2020());
  const validate = compiled(schema, draft);
  return (data) => {
    try {
      if (validate(plainNumbers(data))) return undefined;
    } catch (error) {
      if (error instanceof PatternTimeout) return `cannot be checked: ${error.message}`;
      if (error instanceof RangeError) return 'cannot be checked: a $ref of the schema has no end';
      throw error;
    }
    return problemIn(validate.errors?.[0]);
  };
}

interface Draft {
  /** Has the schema of schemas ready, which takes longest. */
  readonly judge: Ajv;
  /** Names of one schema must not meet those of another, so each has its own. */
  create(): Ajv;
}

const draft7 = once(async () => {
  const { Ajv } = await import('ajv');
  const create = () => new Ajv({ ...options, validateSchema: false });
  return { judge: new Ajv(options), create };
});
const draft2020 = once(async () => {
  const { Ajv2020 } = await import('ajv/dist/2020.js');
  const create = () => new Ajv2020({ ...options, validateSchema: false });
  return { judge: new Ajv2020(options), create };
});

function once(open: () => Promise<Draft>): () => Promise<Draft> {
  let opened: Promise<Draft> | undefined;
  return () => {
    opened ??= open();
    return opened;
  };
}

function compiled(schema: JsonSchemaNode, { judge, create }: Draft): ValidateFunction {
  try {
    if (judge.validateSchema(schema) !== true) {
      throw new Error(`schema is invalid: ${judge.errorsText(judge.errors)}`);
    }
    return create().compile(schema);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new Error(
        'it is nested too deeply, or a $ref leads back to itself and to nothing else',
      );
    }
    const missing = (error as { missingRef?: string }).missingRef;
    if (missing === undefined) throw error;
    throw new Error(`nothing is fetched: put what ${missing} stands for into $defs of this file`);
  }
}

function problemIn(error: ErrorObject | undefined): string {
  const path = (error?.instancePath ?? '').split('/').slice(1).map(unescaped);
  const params = (error?.params ?? {}) as Record<string, unknown>;
  const more = params.additionalProperty ?? params.missingProperty;
  const place = more === undefined ? path : [...path, String(more)];
  const what =
    params.additionalProperty !== undefined
      ? 'is not in the schema'
      : params.missingProperty !== undefined
        ? 'is missing'
        : `${error?.message ?? 'is not valid'}`;
  return `${place.join('.') || 'The data'} ${what}`;
}

function unescaped(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** To a JSON Schema an integer of 64 bits is a number. */
function plainNumbers(data: EventData['reading']): EventData['reading'] {
  const values = Object.values(data.fields);
  if (!values.some((value) => typeof value === 'bigint')) return data;
  const fields = Object.fromEntries(
    Object.entries(data.fields).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? Number(value) : value,
    ]),
  );
  return { ...data, fields };
}
