import { auto } from './auto.ts';
import type { CodecKind } from './codec.ts';
import { json } from './json.ts';
import { text } from './text.ts';

/** Every kind of codec there is. To add one: write the file, add it here and to `config/samples`. */
export const codecKinds = { auto, json, text } as const satisfies Record<string, CodecKind>;

export type CodecName = keyof typeof codecKinds;
export const codecNames = Object.keys(codecKinds) as [CodecName, ...CodecName[]];
