/** A number that was counted in steps: `value = raw × scale + add`. */
export interface Scale {
  /** The double nearest to what the decimal digits of scale and add say: 57 × 0.01 is 0.57. */
  of(raw: number | bigint): number;
  /** The raw number that a value came from, whole if wanted. */
  undo(value: number, isWhole: boolean): number;
}

/**
 * Calculated in whole numbers with one division at the end, so that no rounding error shows: a
 * product by 0.01 is not always what a person would write.
 */
export function createScale(scale: number, add: number): Scale {
  const decimals = Math.max(decimalsOf(scale), decimalsOf(add));
  const divisor = 10 ** decimals;
  const factor = Math.round(scale * divisor);
  const summand = Math.round(add * divisor);
  const isExact = decimals <= 15 && [factor, summand, divisor].every(Number.isSafeInteger);
  return {
    of(raw) {
      const number = Number(raw);
      const steps = number * factor + summand;
      return isExact && Number.isSafeInteger(number) && Number.isSafeInteger(steps)
        ? steps / divisor
        : number * scale + add;
    },
    undo(value, isWhole) {
      const raw = (value - add) / scale;
      return isWhole ? Math.round(raw) : raw;
    },
  };
}

/** Digits behind the point, as the number is written. */
function decimalsOf(number: number): number {
  const [mantissa, exponent] = number.toExponential().split('e');
  const digits = mantissa!.split('.')[1]?.length ?? 0;
  return Math.max(0, digits - Number(exponent));
}
