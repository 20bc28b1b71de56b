import type { Clock } from '../../src/platform/clock.ts';

/** What other sides know: the counters of the gateway, and what a sink holds. */

const answerMaxMs = 10_000;

async function textOf(
  url: string,
  clock: Clock,
  headers: Record<string, string> = {},
): Promise<string> {
  const over = new AbortController();
  const done = new AbortController();
  clock.sleep(answerMaxMs, done.signal).then(
    () => over.abort(new Error(`${url} does not answer.`)),
    () => undefined,
  );
  try {
    const answer = await fetch(url, { headers, signal: over.signal });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${text.slice(0, 200)}`);
    return text;
  } finally {
    done.abort(new Error('It has answered.'));
  }
}

/** The samples of `GET /metrics`, by name with labels, and by name alone as their sum. */
export async function metricsOf(admin: string, clock: Clock): Promise<ReadonlyMap<string, number>> {
  const samples = new Map<string, number>();
  for (const line of (await textOf(new URL('/metrics', admin).href, clock)).split('\n')) {
    const [, name, labels = '', value] = /^([\w:]+)(\{.*\})? (\S+)/.exec(line) ?? [];
    if (name === undefined) continue;
    samples.set(`${name}${labels}`, Number(value));
    if (labels !== '') samples.set(name, (samples.get(name) ?? 0) + Number(value));
  }
  return samples;
}

export interface InfluxQuestion {
  readonly url: string;
  readonly database: string;
  readonly token?: string | undefined;
}

/** The number that a query in InfluxQL answers; 0 where it finds nothing. */
export async function influxAnswer(
  { url, database, token }: InfluxQuestion,
  query: string,
  clock: Clock,
): Promise<number> {
  const address = new URL('/query', url);
  address.search = new URLSearchParams({ db: database, q: query }).toString();
  const headers = token === undefined ? {} : { authorization: `Token ${token}` };
  const answer = JSON.parse(await textOf(address.href, clock, headers));
  const [result = {}] = answer.results ?? [];
  if (result.error !== undefined) throw new Error(`${query}: ${result.error}`);
  return Number(result.series?.[0]?.values?.[0]?.[1] ?? 0);
}
