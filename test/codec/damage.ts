/** Mulberry32: a number below `limit`. */
export function createChance(from: number) {
  let state = from >>> 0;
  return (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}
export type Chance = ReturnType<typeof createChance>;

const tokens = ['{', '[', '"', ',', '=', ' ', '\n', '\\', '\r\n', '-', 'e', '1', '9'.repeat(400)];
const heads = [0x9f, 0xbf, 0x5f, 0x7f, 0xff, 0x9b, 0xbb, 0xc2, 0xc4, 0xd9, 0xf9, 0xfb, 0x1b, 0x3b];

/** Whether a step takes so long each time: others may hold the machine for a while. */
export function isSlow(ms: number, step: () => unknown): boolean {
  for (let times = 0; times < 3; times++) {
    const begun = performance.now();
    step();
    if (performance.now() - begun < ms) return false;
  }
  return true;
}

/** Payloads that no device sends: samples, damaged up to four times; one in twenty is invented. */
export function createDamage(samples: readonly Uint8Array[]): (chance: Chance) => Uint8Array {
  return (chance) => damaged(samples, chance);
}

function damaged(samples: readonly Uint8Array[], chance: Chance): Uint8Array {
  if (chance(20) === 0) return Buffer.from(Array.from({ length: chance(64) }, () => chance(256)));
  let bytes: Buffer = Buffer.from(samples[chance(samples.length)]!);
  for (let times = 1 + chance(4); times > 0; times--) bytes = damagedOnce(bytes, samples, chance);
  return bytes.subarray(0, 16_384);
}

function damagedOnce(bytes: Buffer, samples: readonly Uint8Array[], chance: Chance): Buffer {
  const at = chance(bytes.length + 1);
  const length = chance(bytes.length - at + 1);
  const [before, part, after] = [
    bytes.subarray(0, at),
    bytes.subarray(at, at + length),
    bytes.subarray(at + length),
  ];
  switch (chance(7)) {
    case 0:
      return before;
    case 1:
      return Buffer.concat([before, after]);
    case 2:
      return Buffer.concat([before, part, part, after]);
    case 3:
      return Buffer.concat([before, Buffer.from(tokens[chance(tokens.length)]!), part, after]);
    case 4:
      return Buffer.concat([before, Buffer.of(heads[chance(heads.length)]!), part, after]);
    case 5:
      return Buffer.concat([before, samples[chance(samples.length)]!.subarray(0, 500)]);
    default: {
      const copy = Buffer.from(bytes);
      if (copy.length > 0) copy[at % copy.length]! ^= 1 << chance(8);
      return copy;
    }
  }
}
