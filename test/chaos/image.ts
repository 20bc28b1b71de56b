import { execFile, execFileSync } from 'node:child_process';
import { copyFile, mkdir, open, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const mebibyte = 2 ** 20;

/** A small disk of its own: ext4 in a file, mounted through a loop device. Needs root. */
export interface Image {
  /** Where it is mounted; the same through all cuts. */
  readonly folder: string;
  /**
   * What a power cut now would leave: everything that has reached the disk and nothing that is only
   * in memory. Nobody may have files open on it. Afterwards the disk is that copy, its journal replayed.
   */
  cutPower(): Promise<void>;
  /** What the kernel does when the disk fails it: read-only until `repair`. False where it cannot be provoked. */
  failReadOnly(): Promise<boolean>;
  /**
   * What an operator does: `mount -o remount,ro`, and `rw` to undo it. False when the kernel refuses since
   * somebody has a file open to write to, as a gateway has that can write.
   */
  remount(how: 'ro' | 'rw'): Promise<boolean>;
  /** Unmounts, checks and mounts again. Nobody may have files open on it. */
  repair(): Promise<void>;
  /** Leaves not one free byte; `free` gives it back. */
  fill(): Promise<void>;
  free(): Promise<void>;
  close(): Promise<void>;
}

/** Why an image cannot be mounted here; undefined when it can. */
export function imageImpossible(): string | undefined {
  if (process.platform !== 'linux') return 'mounting an image needs Linux';
  if (process.getuid?.() !== 0) return 'mounting an image needs root';
  for (const program of ['mkfs.ext4', 'losetup']) {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`], { env: environment, stdio: 'ignore' });
    } catch {
      return `${program} is not installed`;
    }
  }
  return undefined;
}
const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const tool = (program: string, ...args: string[]) => run(program, args, { env: environment });

export async function openImage(parent: string, sizeMib: number): Promise<Image> {
  let life = 0;
  let isMounted = false;
  const pathOf = (): string => join(parent, `disk-${life}.img`);
  const folder = join(parent, 'disk');
  const ballast = join(folder, 'ballast');
  await mkdir(folder, { recursive: true });

  const mount = async (): Promise<void> => {
    await tool('mount', '-o', 'loop', pathOf(), folder);
    isMounted = true;
  };
  const unmount = async (): Promise<void> => {
    // A process that was killed a moment ago may still be giving up its files.
    for (let attempt = 1; ; attempt++) {
      try {
        await tool('umount', folder);
        break;
      } catch (error) {
        if (attempt === 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    isMounted = false;
  };
  const lastResort = (): void => {
    if (isMounted) execFileSync('umount', ['-l', folder], { env: environment });
  };
  process.once('exit', lastResort);

  await writeFile(pathOf(), '');
  await truncate(pathOf(), sizeMib * mebibyte);
  await tool('mkfs.ext4', '-q', '-F', '-b', '4096', '-m', '0', pathOf());
  await mount();
  return {
    folder,
    async cutPower() {
      const from = pathOf();
      life += 1;
      await copyAtOneMoment(from, pathOf());
      await unmount();
      await rm(from);
      await mount();
    },
    async failReadOnly() {
      try {
        await tool('mount', '-o', 'remount,errors=remount-ro', folder);
        const { stdout } = await tool('findmnt', '-no', 'SOURCE', folder);
        const device = stdout.trim().replace('/dev/', '');
        await writeFile(`/sys/fs/ext4/${device}/trigger_fs_error`, '1');
        return true;
      } catch {
        return false;
      }
    },
    async remount(how) {
      for (let attempt = 1; ; attempt++) {
        try {
          await tool('mount', '-o', `remount,${how}`, folder);
          return true;
        } catch {
          if (attempt === 10) return false;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    },
    async repair() {
      await unmount();
      // Status 1: errors were corrected.
      await tool('e2fsck', '-fy', pathOf()).catch((error: { code?: number }) => {
        if (error.code !== 1) throw error;
      });
      await mount();
    },
    async fill() {
      const file = await open(ballast, 'a');
      try {
        for (let bytes = mebibyte; bytes >= 512; ) {
          try {
            await file.appendFile(Buffer.alloc(bytes, 1));
            await file.datasync();
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
            bytes /= 2;
          }
        }
      } finally {
        await file.close();
      }
    },
    free: () => rm(ballast, { force: true }),
    async close() {
      if (isMounted) await unmount();
      process.removeListener('exit', lastResort);
      await rm(pathOf(), { force: true });
    },
  };
}

/**
 * The file system may write back what is older at any time, so that the end of a copy could be newer
 * than its beginning. Two copies in a row that are equal show that nothing was written meanwhile.
 */
async function copyAtOneMoment(from: string, to: string): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    await copySparse(from, to);
    await copySparse(from, `${to}.again`);
    const equal = await run('cmp', ['-s', to, `${to}.again`]).then(
      () => true,
      () => false,
    );
    await rm(`${to}.again`);
    if (equal) return;
  }
  throw new Error('The image is written to all the time; it could not be copied at one moment.');
}

async function copySparse(from: string, to: string): Promise<void> {
  await run('cp', ['--sparse=always', from, to]).catch(() => copyFile(from, to));
}
