import type { Behaviour } from './behaviour.ts';

/**
 * The device starts again every so often: its counters, its uptime and whatever it had drifted by
 * begin anew, and so does `seq`, under another `boot`.
 */
export function reboot(everyMs: number): Behaviour {
  return (before) => (moment) => {
    const perLife = Math.max(1, Math.round(everyMs / moment.periodMs));
    const life = Math.floor((moment.seq - 1) / perLife);
    if (life === 0) return before(moment);
    const seq = moment.seq - life * perLife;
    const elapsedMs = Math.round((seq - 1) * moment.periodMs + moment.phaseMs);
    return before({ ...moment, life: moment.life + life, seq, elapsedMs });
  };
}
