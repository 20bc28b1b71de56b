import type { ErrorObject } from 'ajv';
import type { EventData } from '../event/event.ts';
import type { JsonSchemaNode } from './compatibility.ts';

/** Says what is wrong with the data of a reading, or undefined. */
export type Validator = (data: EventData['reading']) => string | undefined;

/**
 * A validator of draft 2020-12, or of draft 7 where `$schema` says so. The library is loaded when it
 * is asked for. Throws an Error for what is no JSON Schema.
 */
export async function createValidator(schema: JsonSchemaNode): Promise<Validator> {
  const isOld = typeof schema === 'object' && /draft-0[4-7]/.test(String(schema.$schema ?? ''));
  const options = { strict: false, validateFormats: false, logger: false } as const;
  const ajv = isOld
    ? new (await import('ajv')).Ajv(options)
    : new (await import('ajv/dist/2020.js')).Ajv2020(options);
  const validate = ajv.compile(schema);
  return (data) => {
    if (validate(plainNumbers(data))) return undefined;
    return problemIn(validate.errors?.[0]);
  };
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
