import { type Behaviour, compose, type Moment, type Sending } from '../behaviour/behaviour.ts';
import { type LinkBehaviour, together } from '../behaviour/condition.ts';
import { behaviours, linkBehaviours } from '../behaviour/index.ts';

type Asked = Readonly<Record<string, unknown>>;
/** What is asked for during a time; the last has no end. */
export interface Phase {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly asked: Asked;
}
interface Kind<T> {
  create(options: never): T;
}

/** In the order of the table, whatever the order in which it is asked for. */
function askedFor<T>(table: Readonly<Record<string, Kind<T>>>, asked: Asked): T[] {
  return Object.entries(table)
    .filter(([name]) => asked[name] !== undefined)
    .map(([name, { create }]) => create(asked[name] as never));
}

/** What devices do always, and on top of it what they do in each phase, counted from its beginning. */
export function behaviourOf(always: Asked, phases: readonly Phase[]): Behaviour {
  const within = phases.map((phase) => ({
    ...phase,
    behaviour: compose(...askedFor<Behaviour>(behaviours, phase.asked)),
  }));
  return (before) => {
    const base = compose(...askedFor<Behaviour>(behaviours, always))(before);
    const sendings = within.map(({ behaviour, startMs, endMs }) => ({
      ...{ startMs, endMs },
      sending: shifted(behaviour, base, startMs),
    }));
    return (moment) => {
      const phase = sendings.find(
        ({ startMs, endMs }) => startMs <= moment.elapsedMs && moment.elapsedMs < endMs,
      );
      return (phase?.sending ?? base)(moment);
    };
  };
}

function shifted(behaviour: Behaviour, base: Sending, startMs: number): Sending {
  const by = (moment: Moment, ms: number): Moment => ({
    ...moment,
    elapsedMs: moment.elapsedMs + ms,
  });
  const sending = behaviour((moment) => base(by(moment, startMs)));
  return (moment) => sending(by(moment, -startMs));
}

/** The same for their connections; undefined where nothing is asked for. */
export function linkOf(always: Asked, phases: readonly Phase[]): LinkBehaviour | undefined {
  const base = askedFor<LinkBehaviour>(linkBehaviours, always);
  const within = phases.map((phase) => ({
    ...phase,
    links: askedFor<LinkBehaviour>(linkBehaviours, phase.asked),
  }));
  if (base.length === 0 && within.every(({ links }) => links.length === 0)) return undefined;
  return (standing) => {
    const { elapsedMs } = standing;
    const phase = within.find(({ startMs, endMs }) => startMs <= elapsedMs && elapsedMs < endMs);
    const inPhase = (phase?.links ?? []).map(
      (each): LinkBehaviour =>
        (given) =>
          each({ ...given, elapsedMs: given.elapsedMs - (phase?.startMs ?? 0) }),
    );
    return together(...base, ...inPhase)(standing);
  };
}
