import { execFile } from 'node:child_process';
import { messageOf } from './errors.ts';
import { type Logger, silentLogger } from './logger.ts';

/** Node has no datagram sockets for sd_notify(3), so systemd's own tool sends for us. */
const command = 'systemd-notify';
const sendMaxMs = 5_000;

/** How the gateway tells the service manager how it is. */
export interface ServiceManager {
  /**
   * Sends assignments of sd_notify(3), such as `READY=1` or `STATUS=…`, in the order of the calls.
   * Never rejects: does nothing when no manager listens, and warns once when telling it fails. A
   * `WATCHDOG=1` that finds another still on its way is left out.
   */
  notify(...assignments: readonly string[]): Promise<void>;
  /** Within this many milliseconds the manager wants to hear `WATCHDOG=1`; undefined when never. */
  watchdogMs(): number | undefined;
}

export interface ServiceManagerOptions {
  readonly environment?: NodeJS.ProcessEnv;
  readonly logger?: Logger;
}

/** The service manager that started this process, by `NOTIFY_SOCKET` and `WATCHDOG_USEC`. */
export function createServiceManager(options: ServiceManagerOptions = {}): ServiceManager {
  const { environment = process.env, logger = silentLogger } = options;
  const listens = (environment.NOTIFY_SOCKET ?? '') !== '';
  let last = Promise.resolve();
  let beating = false;
  let warned = false;
  const send = async (assignments: readonly string[]): Promise<void> => {
    try {
      await run(assignments, environment);
    } catch (error) {
      if (!warned) {
        logger.warn(
          { error, remedy: `Install ${command}, or set Type=exec and no WatchdogSec.` },
          'The service manager could not be told.',
        );
      }
      warned = true;
    }
  };
  return {
    async notify(...assignments) {
      if (!listens) return;
      const beat = assignments.length === 1 && assignments[0] === 'WATCHDOG=1';
      if (beat && beating) return;
      if (beat) beating = true;
      last = last.then(() => send(assignments));
      await last;
      if (beat) beating = false;
    },
    watchdogMs() {
      const { WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment;
      if (usec === undefined || !/^[1-9]\d{0,15}$/.test(usec)) return undefined;
      // Set for another process: this one only inherited it.
      if (pid !== undefined && pid !== String(process.pid)) return undefined;
      return Number(usec) / 1_000;
    },
  };
}

function run(assignments: readonly string[], environment: NodeJS.ProcessEnv): Promise<void> {
  // Without --no-block it waits for an answer that an old manager never gives.
  const given = ['--no-block', ...assignments.map((each) => each.replaceAll('\n', ' '))];
  return new Promise((resolve, reject) => {
    execFile(command, given, { env: environment, timeout: sendMaxMs }, (error, _out, said) => {
      if (error === null) resolve();
      else reject(new Error(said.trim() || messageOf(error), { cause: error }));
    });
  });
}
