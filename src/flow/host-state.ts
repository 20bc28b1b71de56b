import type { IngestMapping } from '../codec/mapping-options.ts';
import { hostState, type SparkplugOptions } from '../codec/sparkplug.ts';
import type { Clock } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Source } from '../source/source.ts';

export interface HostStates {
  /** To be called whenever a source is open: those who subscribe later find it retained. */
  online(source: Source): void;
  /** To be called while the source is still open. */
  offline(source: Source): void;
}

/** Says for the Sparkplug hosts that the mappings name whether they are there. */
export function createHostStates(
  mappings: readonly IngestMapping[],
  parts: { readonly clock: Clock; readonly logger: Logger },
): HostStates {
  const hostIds = new Set(mappings.flatMap(({ codec }) => hostIdOf(codec) ?? []));
  const say = (source: Source, isOnline: boolean): void => {
    for (const hostId of hostIds) {
      const { topic, payload } = hostState(hostId, isOnline, parts.clock.now());
      source.publish?.(topic, payload, { retain: true, qos: 1 }).catch((error: unknown) => {
        const fields = { source: source.name, topic, error: messageOf(error) };
        parts.logger.warn(fields, 'The state of a Sparkplug host could not be published.');
      });
    }
  };
  return {
    online: (source) => say(source, true),
    offline: (source) => say(source, false),
  };
}

function hostIdOf(codec: IngestMapping['codec']): string | undefined {
  if (typeof codec === 'string' || codec.kind !== 'sparkplug') return undefined;
  return (codec as unknown as SparkplugOptions).hostId;
}
