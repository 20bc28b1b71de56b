/**
 * A copy in memory of its own, for what is kept. `Buffer.from` would take a piece of 8 KiB that
 * others share, and keep all of that for as long.
 */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}
