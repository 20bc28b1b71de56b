import { afterEach, expect, test } from 'vitest';
import { createSystemClock } from '../../src/platform/system-clock.ts';
import { eventually } from '../services/child.ts';
import { connectRaw, openTestBroker, publishPacket, stopAll } from './harness.ts';

afterEach(stopAll);

test.for([
  { messageMs: 1, most: 16 },
  // However long one takes, everybody gets on.
  { messageMs: 100, most: 16 },
  { messageMs: 0.1, most: 80 },
])(
  'of messages that take $messageMs ms each at most $most are taken before others have a turn',
  async ({ messageMs, most }) => {
    const clock = createSystemClock();
    let worked = 0;
    const batches: number[] = [];
    const topics: string[] = [];
    const { port } = await openTestBroker({
      options: { limits: { messagesPerSecond: 0 } },
      // Only the work is counted, not what else the machine does.
      clock: { ...clock, monotonic: () => worked },
      ingest: async (messages) => {
        worked += messages.length * messageMs;
        batches.push(messages.length);
        for (const { topic } of messages) topics.push(topic);
      },
    });
    const client = await connectRaw(port);
    const sent = Array.from({ length: 3000 }, (_, index) => `flood/${index}`);
    client.send(...sent.map((topic) => publishPacket(topic, 'x', 0, 0, { retain: true })));
    await eventually(() => expect(topics).toHaveLength(sent.length), 20_000);
    expect(topics).toEqual(sent);
    // What messages take is learnt from the first. The next turn may begin before a batch is closed.
    const slices = batches.slice(1);
    expect(slices.length).toBeGreaterThan(0);
    expect(Math.max(...slices)).toBeLessThanOrEqual(most);
  },
);
