import { createServer, connect as dial, type Socket } from 'node:net';

/**
 * `works`: carries bytes. `stalls`: connections stay open and nothing moves. `refuses`: nobody gets
 * in or stays. `swallows`: takes what it is given and delivers it to nobody.
 */
export type Mood = 'works' | 'stalls' | 'refuses' | 'swallows';

/** The network between two parties on this machine, which can be broken. */
export interface Wire {
  readonly port: number;
  mood: Mood;
  /** Ends every connection without a farewell. */
  reset(): void;
  /** Closes one direction of every connection, so that half of it stays open. */
  halfClose(): void;
  close(): Promise<void>;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export async function openWire(toPort: number): Promise<Wire> {
  const pairs = new Set<Pair>();
  let mood: Mood = 'works';

  const carry = (from: Socket, to: Socket): void => {
    from.on('data', (chunk) => {
      if (mood === 'swallows') return;
      if (!to.write(chunk)) from.pause();
    });
    to.on('drain', () => {
      if (mood !== 'stalls') from.resume();
    });
    from.on('end', () => to.end());
  };
  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (mood === 'refuses') {
      near.on('error', () => {});
      near.resetAndDestroy();
      return;
    }
    const far = dial({ port: toPort, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far };
    pairs.add(pair);
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        near.destroy();
        far.destroy();
        pairs.delete(pair);
      });
    }
    carry(near, far);
    carry(far, near);
    if (mood === 'stalls') pause(pair);
  });
  const reset = (): void => {
    for (const { near, far } of pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get mood() {
      return mood;
    },
    set mood(next) {
      const before = mood;
      mood = next;
      // What was swallowed is missing in the middle of their streams.
      if (before === 'swallows' || next === 'refuses') reset();
      for (const pair of pairs) (next === 'stalls' ? pause : resume)(pair);
    },
    reset,
    halfClose() {
      for (const { far } of pairs) far.end();
    },
    async close() {
      reset();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pause({ near, far }: Pair): void {
  near.pause();
  far.pause();
}

function resume({ near, far }: Pair): void {
  near.resume();
  far.resume();
}
