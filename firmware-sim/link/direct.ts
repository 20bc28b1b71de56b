import type { Clock } from '../../src/platform/clock.ts';
import type { Ingest } from '../../src/source/source.ts';
import type { DeviceMessage } from '../device.ts';
import type { Link, Transport } from './link.ts';

/** Into an `Ingest` of the same process, without a network: under a simulated clock a day is short. */
export function directTransport(ingest: Ingest, clock: Clock): Transport {
  return {
    name: 'direct',
    acknowledges: true,
    open(_, events): Link {
      const inFlight = new Set<DeviceMessage>();
      let ended = false;
      let wasConnected = false;
      const finish = (error?: Error): void => {
        if (ended) return;
        ended = true;
        events.closed([...inFlight], error);
      };
      queueMicrotask(() => {
        if (ended) return;
        wasConnected = true;
        events.connected();
      });
      return {
        get wasConnected() {
          return wasConnected;
        },
        get room() {
          return wasConnected && !ended ? 20 - inFlight.size : 0;
        },
        send(message, startedAt) {
          inFlight.add(message);
          const { topic, payload } = message;
          ingest([{ topic, payload, receivedAt: clock.now() }]).then(() => {
            if (ended || !inFlight.delete(message)) return;
            events.acknowledged(message, startedAt);
          }, finish);
        },
        tend() {},
        close: () => finish(),
        destroy: () => finish(),
        abandon: () => finish(),
      };
    },
  };
}
