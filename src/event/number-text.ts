/** Numbers below a thousand, as they are and with three digits; thousandths behind the point. */
const plain = Array.from({ length: 1_000 }, (_, n) => String(n));
const padded = plain.map((text) => text.padStart(3, '0'));
const behindPoint = padded.map((text) => `.${text.replace(/0+$/, '')}`);

const quickMax = 1_000_000_000;

/**
 * The number as `String(value)` gives it. V8 keeps the texts of the numbers it has written last;
 * those of readings hardly come twice, and live there until a collection of the whole heap.
 * Integers and thousandths below 10^9, as most sensors give, are written without.
 */
export function numberText(value: number): string {
  if (value >= 0) return value < quickMax ? quickText(value) : `${value}`;
  return value > -quickMax ? `-${quickText(-value)}` : `${value}`;
}

function quickText(value: number): string {
  const whole = Math.floor(value);
  if (whole === value) return integerText(whole);
  // Of up to 15 digits no two stand for the same double, so these are the shortest for it.
  const thousandths = Math.round(value * 1_000);
  if (thousandths / 1_000 !== value) return `${value}`;
  return integerText(whole) + behindPoint[thousandths - whole * 1_000]!;
}

function integerText(value: number): string {
  if (value < 1_000) return plain[value]!;
  const thousands = Math.floor(value / 1_000);
  const rest = padded[value - thousands * 1_000]!;
  if (thousands < 1_000) return plain[thousands]! + rest;
  const millions = Math.floor(thousands / 1_000);
  return plain[millions]! + padded[thousands - millions * 1_000]! + rest;
}
