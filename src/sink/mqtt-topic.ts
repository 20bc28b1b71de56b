import type { CloudEvent } from '../event/event.ts';
import { parseTemplate } from '../event/template.ts';

/** What a topic of the `mqtt` sink may name. */
export const topicNames = ['gateway', 'type', 'device', 'measurement', 'rule', 'severity'] as const;
type TopicName = (typeof topicNames)[number];

/** What is wrong with a topic in the configuration, if anything. */
export function topicProblem(
  topic: string,
  allowed: readonly string[] = topicNames,
): string | undefined {
  const odd = parseTemplate(topic).names.find((name) => !allowed.includes(name));
  if (odd !== undefined) return `{${odd}} is not one of ${allowed.map((n) => `{${n}}`).join(' ')}`;
  if (/[+#\p{Cc}]/u.test(topic)) return 'must not hold + or #: one publishes to a single topic';
  return topic === '' ? 'must not be empty' : undefined;
}

/**
 * The topic of an event. Each name is one level, whatever a device is called: `/`, `+`, `#` and
 * controls become `_`, and so does what is empty or does not apply. [MQTT-4.7.1-1, MQTT-4.7.3-2]
 */
export function createTopicOf(topic: string, gateway: string): (event: CloudEvent) => string {
  const template = parseTemplate(topic);
  const startsFree = /^\{/.test(topic);
  return (event) => {
    const filled = template.fill((name) => level(partOf(event, name as TopicName, gateway)));
    // Topics that begin with $ are the server's own. [MQTT-4.7.2-1]
    return startsFree && filled.startsWith('$') ? `_${filled.slice(1)}` : filled;
  };
}

function partOf(event: CloudEvent, name: TopicName, gateway: string): string | undefined {
  switch (name) {
    case 'gateway':
      return gateway;
    case 'type':
      return event.type;
    case 'device':
      return event.subject;
    case 'measurement':
      return event.type === 'reading' ? event.data.measurement : undefined;
    case 'rule':
      return event.type === 'alert' ? event.data.rule : undefined;
    case 'severity':
      return event.type === 'alert' ? event.data.severity : undefined;
  }
}

const unsafe = /[/+#\p{Cc}]/gu;

function level(text: string | undefined): string {
  return text === undefined || text === '' ? '_' : text.replace(unsafe, '_');
}
