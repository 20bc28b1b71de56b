import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { World } from './world.ts';

/** Segments are named after their first position, in twenty digits. */
const segmentName = /^(\d{20})\.[a-z]+$/;

const folderOf = (world: World): string => join(world.gateway.dataDir, 'log');

/** The names of the segments, oldest first. */
export async function segmentsOf(world: World): Promise<string[]> {
  const names = await readdir(folderOf(world));
  return names.filter((name) => segmentName.test(name)).sort();
}

/**
 * Flips a bit, blanks a page or cuts off the end of a segment that is no longer written to: the
 * newest of these, or any.
 */
export async function damageOldSegment(
  world: World,
  random: World['random'],
  which: 'newest' | 'any',
): Promise<string> {
  const names = await segmentsOf(world);
  const old = names.slice(0, -1);
  if (old.length === 0) return 'there is no old segment yet';
  const index = which === 'newest' ? old.length - 1 : Math.floor(random.next() * old.length);
  const name = old[index]!;
  const path = join(folderOf(world), name);
  const { size } = await stat(path);
  const offset = Math.floor(random.next() * size);
  const file = await open(path, 'r+');
  let what: string;
  try {
    const draw = random.next();
    if (draw < 0.5) {
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, offset);
      buffer[0]! ^= 1 << Math.floor(random.next() * 8);
      await file.write(buffer, 0, 1, offset);
      what = `a bit flipped at ${offset}`;
    } else if (draw < 0.75) {
      await file.write(Buffer.alloc(Math.min(4_096, size - offset)), 0, undefined, offset);
      what = `a page blanked at ${offset}`;
    } else {
      await file.truncate(offset);
      what = `cut off at ${offset} of ${size}`;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  const from = Number(segmentName.exec(name)![1]);
  const to = Number(segmentName.exec(names[index + 1]!)![1]) - 1;
  world.damaged.push({ path: `log/${name}`, from, to });
  return `${name.replace(/^0+/, '')}: ${what}`;
}
