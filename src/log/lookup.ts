import type { Entry } from './log.ts';
import { type Backlog, createBacklog, type ReaderParts } from './reader.ts';

/** Places on the disk that are remembered, so that who asks for more of the same goes on there. */
const placesMax = 4;

/**
 * Finds entries by their positions, wherever they are: one way through each segment for all that is
 * asked for at a time. Holds a chunk of a file for each of the few places it was asked for last.
 */
export function createLookup(parts: ReaderParts) {
  const { tail, segments } = parts;
  /** The one used last at the end. */
  const places: Backlog[] = [];

  const segmentOf = (position: number): number => {
    let at = segments.length - 1;
    while (at > 0 && segments[at]!.first > position) at--;
    return at;
  };
  /** Takes a place in the same segment that is not behind the position, or a new one. */
  const takePlace = (position: number): Backlog => {
    const segment = segmentOf(position);
    const known = places.findLastIndex(
      ({ after }) => after < position && segmentOf(after) === segment,
    );
    const place = known < 0 ? createBacklog(position - 1, parts) : places.splice(known, 1)[0]!;
    place.skipTo(position - 1);
    return place;
  };
  const giveBack = (place: Backlog): void => {
    places.push(place);
    if (places.length > placesMax) places.shift();
  };

  /** The entries at those of the positions, ascending, that there are. Rejects when the disk does. */
  return async (positions: readonly number[]): Promise<Entry[]> => {
    const found: Entry[] = [];
    /** The last that was read from the disk: where something is missing, it stands behind that. */
    let read: Entry | undefined;
    for (const position of positions) {
      if (position > tail.last) break;
      if (read !== undefined && read.position >= position) {
        if (read.position === position) found.push(read);
        continue;
      }
      if (position >= tail.first) {
        const [entry] = tail.slice(position - 1, 1);
        if (entry?.position === position) found.push(entry);
        continue;
      }
      const place = takePlace(position);
      read = (await place.read(1))[0];
      if (read?.position === position) found.push(read);
      // Who has seen the end, or trouble, would not see what comes behind it.
      if (read !== undefined) giveBack(place);
    }
    return found;
  };
}
