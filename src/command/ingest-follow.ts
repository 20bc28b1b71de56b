import { GatewayError, messageOf } from '../platform/errors.ts';
import { createSystemClock } from '../platform/system-clock.ts';
import type { Message } from '../source/source.ts';

const connectMaxMs = 10_000;
/** Messages that wait to be shown; while there are more, what comes is passed over. */
const waitingMax = 1_000;

/**
 * Subscribes to a broker and shows what comes, until the signal is aborted. Throws a `GatewayError`
 * when the broker cannot be reached, refuses, or goes away.
 */
export async function followTopic(
  url: string,
  topic: string,
  signal: AbortSignal,
  show: (message: Message) => Promise<void>,
): Promise<void> {
  const { connect } = await import('mqtt');
  const client = connect(url, { reconnectPeriod: 0, connectTimeout: connectMaxMs });
  const clock = createSystemClock();
  let waiting = 0;
  let shown = Promise.resolve();
  try {
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => resolve();
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) resolve();
      client.on('error', reject);
      client.on('close', () => reject(new Error('the broker closed the connection')));
      client.on('message', (topic, payload) => {
        if (waiting >= waitingMax) return;
        waiting++;
        shown = shown
          .then(() => show({ topic, payload, receivedAt: clock.now() }))
          .catch(reject)
          .finally(() => {
            waiting--;
          });
      });
      client.on('connect', () => {
        client.subscribe(topic, { qos: 0 }, (error, granted) => {
          if (error) reject(error);
          else if ((granted ?? []).some(({ qos }) => qos >= 0x80)) {
            reject(new Error(`the broker refuses a subscription to ${topic}`));
          }
        });
      });
    });
    await shown;
  } catch (error) {
    const place = url.replace(/\/\/[^@/]*@/, '//');
    throw new GatewayError('GW_BROKER_UNREACHABLE', `${place}: ${messageOf(error)}.`, error);
  } finally {
    client.end(true);
  }
}
