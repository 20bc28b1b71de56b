/** Where the gateway says, in a retained message, whether it is there. */
export const statusTopic = 'tidegate/status';

/** What `tidegate/status` holds when the gateway has ended in good order, as JSON. */
export function offlineOf(status: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ ...status, state: 'offline', lag: {} });
}
