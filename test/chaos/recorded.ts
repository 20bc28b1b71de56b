import type { GatewayProcess } from './gateway.ts';
import { type Ledger, payloadOf } from './publisher.ts';

interface ExportedReading {
  readonly id: string;
  readonly data: { readonly fields: Readonly<Record<string, unknown>> };
}

/** What `tidegate log export` gives, by sequence number: every reading with that number. */
export async function exportedBy(
  gateway: GatewayProcess,
): Promise<Map<number, readonly ExportedReading[]>> {
  const { code, stdout, stderr } = await gateway.command('log', 'export', '--type', 'reading');
  if (code !== 0) throw new Error(`tidegate log export ended with ${code}: ${stderr}`);
  const found = new Map<number, ExportedReading[]>();
  for (const line of stdout.split('\n')) {
    if (line === '') continue;
    const reading = JSON.parse(line) as ExportedReading;
    const seq = Number(reading.data.fields.seq);
    const before = found.get(seq);
    if (before === undefined) found.set(seq, [reading]);
    else before.push(reading);
  }
  return found;
}

/** What is wrong with a log, in words; empty when it holds every acknowledged message exactly. */
export function problemsOf(
  acknowledged: Iterable<number>,
  ledger: Ledger,
  found: ReadonlyMap<number, readonly ExportedReading[]>,
  textBytes: number,
): string[] {
  const problems: string[] = [];
  for (const seq of acknowledged) {
    if (!found.has(seq)) problems.push(`message ${seq} was acknowledged and is missing`);
  }
  for (const [seq, readings] of found) {
    if (readings.length !== 1) problems.push(`message ${seq} is there ${readings.length} times`);
    if (!ledger.sent.has(seq)) problems.push(`message ${seq} was never sent`);
    const { fields } = readings[0]!.data;
    for (const [name, value] of Object.entries(payloadOf(seq, textBytes))) {
      if (fields[name] !== value) problems.push(`message ${seq} has another ${name}`);
    }
  }
  return problems;
}
