import { z } from 'zod';

/** One kind of pluggable part: what its options look like, and how to make one from them. */
export interface Kind<O extends z.ZodObject, Parts, T> {
  /** Strict: an unknown key is an error. Without `kind`, `select` and what every part takes. */
  readonly options: O;
  create(options: z.output<O>, parts: Parts): T;
}

/** A text given directly, or where to find it: never written into the configuration itself. */
export const secret = z.union([
  z.string(),
  z.strictObject({ file: z.string() }),
  z.strictObject({ env: z.string() }),
  z.strictObject({ credential: z.string() }),
]);
export type Secret = z.output<typeof secret>;

/** A PEM text, the path of a PEM file, or a secret that holds one. */
export const pem = secret;

const durationProblem = 'must be a duration such as 500ms, 90s, 5m, 24h or 30d';

/** Durations: `500ms 90s 5m 24h 30d`, in milliseconds. */
export const duration = z
  .string(durationProblem)
  .regex(/^\d+(\.\d+)?(ms|s|m|h|d)$/, durationProblem)
  .transform(durationMsOf);

const durationUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
function durationMsOf(text: string): number {
  const unit = /[a-z]+$/.exec(text)![0] as keyof typeof durationUnits;
  return Number.parseFloat(text) * durationUnits[unit];
}

const sizeProblem = 'must be a size such as 65536, 64KiB, 16MiB or 1GiB';

/** Sizes: `512 64KiB 16MiB 1GiB`, in bytes. */
export const size = z
  .union([z.number().int().nonnegative(), z.string()], sizeProblem)
  .refine(
    (value) => typeof value === 'number' || /^\d+(\.\d+)?\s*(B|KiB|MiB|GiB|kB|MB|GB)$/.test(value),
    sizeProblem,
  )
  .transform(sizeBytesOf);

const sizeUnits = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
} as const;
function sizeBytesOf(value: number | string): number {
  if (typeof value === 'number') return value;
  const unit = /[A-Za-z]+$/.exec(value)![0] as keyof typeof sizeUnits;
  return Math.round(Number.parseFloat(value) * sizeUnits[unit]);
}
