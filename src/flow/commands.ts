/** Commands down to devices: in the log first, then on the way. */
import { isUtf8 } from 'node:buffer';
import type { Draft } from '../event/event.ts';
import { messageOf } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Ingest, Message, Source } from '../source/source.ts';

/** What is published under these topics is for a device, or for the source of that name. */
export const commandTopics = 'tidegate/commands/';

/** `subject` is what follows in the topic; the payload is text, or in base64 where it is none. */
export function commandOf({ topic, payload, receivedAt }: Message, source: string): Draft {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const text = bytes.toString(isUtf8(bytes) ? 'utf8' : 'base64');
  return {
    ...{ type: 'command', source, subject: topic.slice(commandTopics.length), time: receivedAt },
    data: { name: 'send', payload: text },
  };
}

/** An ingest that hands commands to the sources they name, once they are durable. */
export function withCommands(ingest: Ingest, sources: readonly Source[], logger: Logger): Ingest {
  const targets = new Map(
    sources.flatMap(({ name, command }) => (command === undefined ? [] : [[name, command]])),
  );
  if (targets.size === 0) return ingest;
  return async (messages) => {
    const positions = await ingest(messages);
    for (const { topic, payload } of messages) {
      if (!topic.startsWith(commandTopics)) continue;
      const target = topic.slice(commandTopics.length).split('/')[0]!;
      targets
        .get(target)?.(payload)
        .catch((error: unknown) => {
          logger.warn({ topic, error: messageOf(error) }, 'A command did not reach its board.');
        });
    }
    return positions;
  };
}
