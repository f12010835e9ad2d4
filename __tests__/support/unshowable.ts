// What a user's code may throw, and nobody can make text of.
import { inspect } from 'node:util';

/** Whoever shows it, fails. */
export function unshowable(): object {
  const fail = (): never => {
    throw new Error('shown');
  };
  return { toString: fail, [Symbol.toPrimitive]: fail, [inspect.custom]: fail };
}

/** An error whose message is one. */
export const wordless = (): Error => Object.assign(new Error(), { message: unshowable() });
