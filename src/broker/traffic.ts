/** What has passed, in MQTT packets and in bytes of topics and payloads. */
export interface Counts {
  packetsIn: number;
  packetsOut: number;
  publishesIn: number;
  publishesOut: number;
  publishBytesIn: number;
  publishBytesOut: number;
  /** Messages that a subscriber did not get. */
  dropped: number;
}

/** What has passed over one connection. Its numbers are counted up where things happen. */
export class Traffic implements Counts {
  packetsIn = 0;
  packetsOut = 0;
  publishesIn = 0;
  publishesOut = 0;
  publishBytesIn = 0;
  publishBytesOut = 0;
  dropped = 0;
}

export const countNames = Object.keys(new Traffic()) as readonly (keyof Counts)[];

/** Adds what another has counted. */
export function addCounts(to: Counts, more: Readonly<Counts>): void {
  for (const name of countNames) to[name] += more[name];
}
