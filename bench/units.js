// @ts-check
/** Sizes, and how they are told. */

export const KIB = 1024;
export const MIB = 1024 * KIB;

/**
 * @param {number} bytes
 * @param {number} [digits]
 */
export function inMb(bytes, digits = 1) {
  return `${(bytes / MIB).toFixed(digits)} MB`;
}
