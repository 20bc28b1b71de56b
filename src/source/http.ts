import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { secret } from '../kind/kind.ts';
import type { Clock } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import type { Secrets } from '../platform/secrets.ts';
import { BadRequest, eventsOf } from './http-cloudevents.ts';
import type { Claims, Ingest, Message, PostAnswer, PostedMessage, Source } from './source.ts';
import type { SourceKind } from './source-kind.ts';

export const httpSourceOptions = z.strictObject({
  token: secret
    .optional()
    .describe(
      'Who sends must say it: Authorization: Bearer TOKEN. Without it only programs on this machine may send.',
    ),
});

export interface HttpSource extends Source {
  post(message: PostedMessage): Promise<PostAnswer>;
}

/** What is sent by `POST /ingest/…`; `ingest` maps it as it does what the broker gets. */
export const httpKind: SourceKind<typeof httpSourceOptions> = {
  options: httpSourceOptions,
  create: createHttpSource,
};

/** An answer is given within this time; what becomes durable later is recorded all the same. */
const answerMaxMs = 8_000;
const waitingBytesMax = 8 * 2 ** 20;
const retryAfterSeconds = 5;
const topicLengthMax = 1_024;
const dayMs = 86_400_000;
const year2000 = Date.UTC(2000, 0, 1);
const year2025 = Date.UTC(2025, 0, 1);
const year2100 = Date.UTC(2100, 0, 1);

/** Messages by `POST /ingest/<topic…>`, which the admin server hands over. */
export function createHttpSource(
  { token }: z.output<typeof httpSourceOptions>,
  parts: { readonly name: string; readonly clock: Clock; readonly secrets: Secrets },
): HttpSource {
  const { name, clock, secrets } = parts;
  let ingest: Ingest | undefined;
  let waiting = 0;

  const mayPost = async (posted: PostedMessage): Promise<PostAnswer | undefined> => {
    if (token === undefined) {
      if (posted.isLocal) return undefined;
      const message = `Only programs on this machine may send without a token. Set sources.${name}: { kind: http, token: … }.`;
      return { status: 403, message };
    }
    const given = /^Bearer +(\S+)$/i.exec(String(posted.headers.authorization ?? ''))?.[1];
    const wanted = await secrets.text(token);
    if (given !== undefined && isSame(given, wanted)) return undefined;
    return { status: 401, message: 'Say who you are: Authorization: Bearer TOKEN.' };
  };

  return {
    name,
    async run(to, signal, opened) {
      ingest = to;
      opened();
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (signal.aborted) resolve();
      });
      ingest = undefined;
    },
    async post(posted) {
      const refusal = (await mayPost(posted)) ?? topicProblem(posted.topic);
      if (refusal !== undefined) return refusal;
      const problems: string[] = [];
      let messages: readonly Message[];
      try {
        messages = messagesOf(posted, clock, (problem) => problems.push(problem));
      } catch (error) {
        if (error instanceof BadRequest) return { status: 400, message: error.message };
        throw error;
      }
      const to = ingest;
      if (to === undefined) return later('The gateway is starting, or stops.');
      if (waiting + posted.body.length > waitingBytesMax) return later('Too much waits already.');
      waiting += posted.body.length;
      const keeping = to(messages).finally(() => {
        waiting -= posted.body.length;
      });
      const outcome = await answerOf(keeping, clock);
      if (outcome !== undefined) return outcome;
      if (problems.length === 0) return { status: 204 };
      const kept = 'It is kept as an undecodable event; sending it again does not help.';
      return { status: 400, message: `${problems.slice(0, 5).join(' ')} ${kept}` };
    },
  };
}

function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

function topicProblem(topic: string): PostAnswer | undefined {
  if (topic === '' || topic.length > topicLengthMax || /[+#\0\ufffd]/.test(topic)) {
    const message = `The address ends in a topic of up to ${topicLengthMax} characters, without + and #: POST /ingest/sensors/gh-07/climate.`;
    return { status: 404, message };
  }
  if (!topic.startsWith('tidegate/') && !topic.startsWith('$')) return undefined;
  return { status: 403, message: `${topic} is reserved.` };
}

function messagesOf(
  { topic, headers, body }: PostedMessage,
  clock: Clock,
  onProblem: (problem: string) => void,
): readonly Message[] {
  const receivedAt = clock.now();
  const events = eventsOf(headers, body);
  if (events !== undefined) {
    return events.map(({ payload, claims }) => {
      return { topic, payload, receivedAt, onProblem, claims: believed(claims, receivedAt, clock) };
    });
  }
  if (body.length === 0) throw new BadRequest('The body is empty.');
  return [{ topic, payload: body, receivedAt, onProblem }];
}

/** What cannot be the time of a reading is not believed: that of its arrival stands. */
function believed(claims: Claims, receivedAt: number, clock: Clock): Claims {
  const { at, ...others } = claims;
  // The gateway may be the one whose clock is wrong.
  const isSure = receivedAt >= year2025 && clock.quality() !== 'unsynchronised';
  const latest = isSure ? receivedAt + dayMs : year2100;
  return at === undefined || (at >= year2000 && at <= latest) ? claims : others;
}

async function answerOf(keeping: Promise<unknown>, clock: Clock): Promise<PostAnswer | undefined> {
  const over = new AbortController();
  const late = clock.sleep(answerMaxMs, over.signal).then(
    () => later('It is not on the disk yet.'),
    () => undefined,
  );
  try {
    return await Promise.race([keeping.then(() => undefined), late]);
  } catch (error) {
    return later(messageOf(error));
  } finally {
    over.abort(new Error('It is over.'));
    keeping.catch(() => undefined);
  }
}

function later(message: string): PostAnswer {
  return { status: 503, message, retryAfterSeconds };
}
