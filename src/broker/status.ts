/** Where the gateway says, in a retained message, whether it is there. */
export const statusTopic = 'tidegate/status';

export interface StatusFacts {
  readonly gateway: string;
  readonly version: string;
  /** When the broker opened; milliseconds since the epoch. */
  readonly since: number;
}

/** What `tidegate/status` holds, as JSON; `lag` is the number of events each sink is behind. */
export function statusOf(
  state: 'online' | 'offline',
  facts: StatusFacts,
  lag: Readonly<Record<string, number>> = {},
): string {
  const { gateway, version } = facts;
  const since = new Date(facts.since).toISOString();
  return JSON.stringify({ state, gateway, version, since, lag });
}
