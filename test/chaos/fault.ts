import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { repositoryRoot } from '../e2e/process/build.ts';

const operations = {
  /** To write. */
  open: 1,
  /** write, pwrite, writev, pwritev. */
  write: 2,
  fsync: 4,
  fdatasync: 8,
  rename: 16,
  ftruncate: 32,
  /** read, pread, preadv. */
  read: 64,
} as const;
export type Operation = keyof typeof operations;

/** `lie`: the operation reports success and does nothing. `half`: it writes half of what it is given. */
export type FaultError = 'EIO' | 'ENOSPC' | 'EROFS' | 'lie' | 'half';

export interface Fault {
  readonly operations: readonly Operation[];
  readonly error: FaultError;
  /** Operations let pass before the first one that fails. */
  readonly pass?: number;
  /** How many fail; all from then on unless said. */
  readonly times?: number;
  /** Only files whose path, behind the folder, holds this text. */
  readonly part?: string;
}

/** A program started with this environment does as it is told when it writes below the folder. */
export interface Faults {
  readonly environment: Readonly<Record<string, string>>;
  inject(fault: Fault): Promise<void>;
  heal(): Promise<void>;
  /** Operations that have failed since the last `inject`. */
  failed(): Promise<number>;
  close(): Promise<void>;
}

const controlBytes = 64 + 512 + 512;

/** Why faults cannot be injected on this machine; undefined when they can. */
export function faultsImpossible(): string | undefined {
  if (process.platform !== 'linux') return 'faults need Linux';
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.some((folder) => existsSync(join(folder, 'cc')))
    ? undefined
    : 'there is no C compiler (cc)';
}

/** Compiles the library into `folder`, for programs that write below `target`. */
export async function openFaults(folder: string, target: string): Promise<Faults> {
  const source = join(await repositoryRoot(), 'test', 'chaos', 'fault.c');
  const library = join(folder, 'fault.so');
  if (!existsSync(library)) {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']);
  }
  const path = join(folder, `fault-${sequence++}.control`);
  await writeFile(path, Buffer.alloc(controlBytes));
  const control = await open(path, 'r+');
  return {
    environment: { LD_PRELOAD: library, CHAOS_FAULT_CONTROL: path },
    async inject(fault) {
      await setArmed(control, 0);
      await control.write(encode(fault, target), 4, controlBytes - 4, 4);
      await setArmed(control, 1);
    },
    heal: () => setArmed(control, 0),
    async failed() {
      const { buffer } = await control.read(Buffer.alloc(4), 0, 4, 24);
      return buffer.readInt32LE();
    },
    close: () => control.close(),
  };
}
let sequence = 0;

async function setArmed(control: FileHandle, armed: 0 | 1): Promise<void> {
  await control.write(Buffer.from([armed, 0, 0, 0]), 0, 4, 0);
}

function encode(fault: Fault, target: string): Buffer {
  const bytes = Buffer.alloc(controlBytes);
  let bits = 0;
  for (const operation of fault.operations) bits |= operations[operation];
  bytes.writeInt32LE(bits, 4);
  bytes.writeInt32LE(numberOf(fault.error), 8);
  bytes.writeInt32LE(fault.pass ?? 0, 12);
  bytes.writeInt32LE(fault.times ?? 0, 16);
  bytes.write(target, 64, 511);
  bytes.write(fault.part ?? '', 64 + 512, 511);
  return bytes;
}

function numberOf(error: FaultError): number {
  if (error === 'lie') return -1;
  return error === 'half' ? -2 : constants.errno[error as 'EIO' | 'ENOSPC' | 'EROFS'];
}
