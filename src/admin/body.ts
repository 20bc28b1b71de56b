import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { type Answer, failure } from './answer.ts';

const bodyBytesMax = 2 ** 20;

/** Whether the request has a body, by its headers. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
  return encoding !== undefined || length !== '0';
}

/** The JSON body of a request as the schema has it, or the answer that says why not; at most 1 MiB. */
export async function readBody<S extends z.ZodType>(
  request: IncomingMessage,
  schema: S,
): Promise<{ readonly value: z.output<S> } | { readonly refusal: Answer }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) {
      return { refusal: failure(413, `The body must not be larger than ${bodyBytesMax} bytes.`) };
    }
    chunks.push(chunk);
  }
  let given: unknown;
  try {
    given = JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}');
  } catch (error) {
    return { refusal: failure(400, `The body is not JSON: ${(error as Error).message}`) };
  }
  const parsed = schema.safeParse(given);
  if (parsed.success) return { value: parsed.data };
  return { refusal: failure(400, z.prettifyError(parsed.error)) };
}
