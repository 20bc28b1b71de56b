import type { Document } from '../codec/codec.ts';
import type { Draft } from '../event/event.ts';
import type { Message } from '../source/source.ts';
import type { CompiledMapping } from './compiled-mapping.ts';
import { type Fields, nameMax } from './fields.ts';
import type { Source } from './naming.ts';

/**
 * The reading in a flat object, where everything but its fields is known from the topic; undefined
 * where it is not.
 */
export function fixedReadingOf(
  { mapping, time, each, fields }: CompiledMapping,
  device: Source,
  measurement: Source,
  tagsOf: (document: Document) => Readonly<Record<string, string>>,
  source: string,
) {
  if (typeof device !== 'string' || typeof measurement !== 'string') return undefined;
  if (device === '' || device.length > nameMax || measurement.length > nameMax) return undefined;
  if (time !== undefined || each !== undefined || fields === undefined) return undefined;
  if (mapping.identity.length > 0) return undefined;
  const name = measurement || 'reading';
  return (document: Fields, message: Message): Draft<'reading'> => {
    const all = fields.takesAll ? document : fields.read(document, false);
    const data = { measurement: name, tags: tagsOf(document), fields: all };
    return { type: 'reading', source, subject: device, time: message.receivedAt, data };
  };
}
