import type { Draft } from '../event/event.ts';
import { toLosslessJson } from '../event/lossless-json.ts';
import type { Explanation } from '../flow/explain.ts';

const documentMax = 400;

/** An explanation for people: a line for each step, then the events. */
export function explanationText(
  explanation: Explanation,
  eventOf: (draft: Draft<'reading'>) => object,
): string {
  const { topic, bytes, tried, outcome, readings, problem } = explanation;
  const lines = [`${onOneLine(topic)} (${bytes} bytes)`];
  for (const each of tried) {
    const verdict = each.why === undefined ? 'matches' : `passed over: ${each.why}`;
    lines.push(`  ${each.mapping} (${each.topic}): ${verdict}`);
  }
  lines.push(...stepLines(explanation));
  if (problem !== undefined) lines.push(`  problem: ${problem}`);
  lines.push(`  ${words[outcome]}`);
  lines.push(...others(explanation));
  for (const draft of readings) lines.push(`  ${toLosslessJson(eventOf(draft))}`);
  return `${lines.join('\n')}\n`;
}

const words: Readonly<Record<Explanation['outcome'], string>> = {
  readings: 'recorded as:',
  nothing: 'it holds no value: nothing is recorded',
  ignored: 'ignored: brokered and counted, not recorded',
  unmatched: 'no mapping wants it: brokered and counted, not recorded',
  undecodable: 'kept as an undecodable event',
  empty: 'empty: it clears a retained message; nothing is recorded',
};

function stepLines({ captured, contentEncoding, codec, document }: Explanation): string[] {
  const lines: string[] = [];
  const levels = Object.entries(captured ?? {}).map(([name, level]) => `${name} = ${level}`);
  if (levels.length > 0) lines.push(`  from the topic: ${onOneLine(levels.join(', '))}`);
  if (contentEncoding !== undefined) lines.push(`  unpacked: ${contentEncoding}`);
  if (codec !== undefined && document !== undefined) {
    const text = toLosslessJson(document) ?? '';
    const shown = text.length > documentMax ? `${text.slice(0, documentMax)}…` : text;
    lines.push(`  codec ${codec}: ${shown}`);
  } else if (codec !== undefined) lines.push(`  codec ${codec}`);
  return lines;
}

/** Of mappings that do not match, only those of one's own may be a mistake. */
function others({ others }: Explanation): string[] {
  if (others.length === 0) return [];
  return [
    '  the topics of these do not match:',
    ...others.slice(0, 20).map((each) => `    ${each}`),
  ];
}

function onOneLine(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}
