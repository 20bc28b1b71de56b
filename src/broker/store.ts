import { Readable } from 'node:stream';

const done = Promise.resolve();
const nothing = Promise.resolve([]);

/**
 * What aedes calls its persistence (the interface of aedes-persistence): empty. Sessions,
 * subscriptions, messages and wills are ours.
 */
export function createStore() {
  return {
    // aedes insists on an async function.
    async setup(): Promise<void> {},
    subscriptionsByClient: () => nothing,
    cleanSubscriptions: () => done,
    outgoingStream: () => Readable.from([]),
    delWill: () => done,
    streamWill: () => Readable.from([]),
  };
}

/** What aedes calls its `mq` (the interface of mqemitter): nobody listens. */
export function createSilence() {
  const silence = {
    on: () => silence,
    removeListener: () => silence,
    emit(_packet: unknown, done: () => void) {
      done();
      return silence;
    },
    close(done: () => void) {
      queueMicrotask(done);
      return silence;
    },
  };
  return silence;
}
