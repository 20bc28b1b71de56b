import type { Draft, EventData } from '../event/event.ts';
import { createGlob } from '../event/glob.ts';
import { parseTopicPattern } from '../event/topic.ts';
import type { SchemaOptions } from './options.ts';

/** One version of a schema. */
export interface SchemaVersion {
  readonly version: number;
  /** What `dataschema` of an event says. */
  readonly uri: string;
  /** What is wrong with the data of a reading, with its path; undefined when nothing is. */
  readonly problemOf?: (data: EventData['reading']) => string | undefined;
}

export interface NamedSchema {
  readonly name: string;
  readonly options: SchemaOptions;
  /** At least one, the newest first. */
  readonly versions: readonly SchemaVersion[];
}

/** Readings as their schema leaves them; `problem` says why one of them is not among them. */
export interface CheckedReadings {
  readonly drafts: readonly Draft<'reading'>[];
  readonly problem?: string;
}

export interface SchemaRegistry {
  /** What is to be done with readings from a topic; undefined when no schema is about it. */
  forTopic(topic: string): ((drafts: readonly Draft<'reading'>[]) => CheckedReadings) | undefined;
}

/** The first schema, in their order, that is about a reading counts for it. */
export function createRegistry(schemas: readonly NamedSchema[]): SchemaRegistry {
  const all = schemas.map((schema) => {
    const { topic, measurement = '*', device = '*' } = schema.options;
    const patterns = topic === undefined ? undefined : [topic].flat().map(parseTopicPattern);
    const ofMeasurement = createGlob(measurement);
    const ofDevice = createGlob(device);
    return {
      isAbout: (name: string) =>
        patterns === undefined || patterns.some((pattern) => pattern.match(name) !== undefined),
      fits: ({ subject, data }: Draft<'reading'>) =>
        ofMeasurement(data.measurement) && ofDevice(subject),
      check: schema.options.validate ? validating(schema) : stamping(schema.versions[0]!.uri),
    };
  });
  return {
    forTopic(topic) {
      const about = all.filter(({ isAbout }) => isAbout(topic));
      if (about.length === 0) return undefined;
      return (drafts) => {
        const kept: Draft<'reading'>[] = [];
        let problem: string | undefined;
        drafts.forEach((draft, index) => {
          const checked = about.find(({ fits }) => fits(draft))?.check(draft) ?? draft;
          if (typeof checked !== 'string') kept.push(checked);
          else {
            const which = drafts.length === 1 ? '' : `Reading ${index + 1} of ${drafts.length}: `;
            problem ??= which + checked;
          }
        });
        return problem === undefined ? { drafts: kept } : { drafts: kept, problem };
      };
    },
  };
}

function stamping(uri: string) {
  return (draft: Draft<'reading'>): Draft<'reading'> => stamped(draft, uri);
}

function stamped(draft: Draft<'reading'>, uri: string): Draft<'reading'> {
  return { ...draft, extensions: { ...draft.extensions, dataschema: uri } };
}

/** A device of older firmware may well send what an older version says. */
function validating({ name, versions }: NamedSchema) {
  return (draft: Draft<'reading'>): Draft<'reading'> | string => {
    let newest: string | undefined;
    for (const { uri, problemOf } of versions) {
      const problem = problemOf?.(draft.data);
      if (problem === undefined) return stamped(draft, uri);
      newest ??= problem;
    }
    const which = `${name} version ${versions[0]!.version}`;
    return `${newest} (schema ${which}${versions.length > 1 ? ', nor any older' : ''}).`;
  };
}
