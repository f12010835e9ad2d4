// Jest's fake timers leave this one alone.
import { setImmediate } from 'node:timers';
import { describe, warn } from './errors.js';

let lines = '';

/**
 * Where the log goes by default. What is written in one turn of the event loop goes out at its end,
 * in one system call: one for each line is 9 % of a small GET. Or it goes with the process, where that
 * ends before.
 */
export const standardOutput = {
  write(text: string): void {
    if (lines === '') setImmediate(flush);
    lines += text;
  },
};

function flush(): void {
  const text = lines;
  lines = '';
  try {
    if (text !== '') process.stdout.write(text);
  } catch (thrown) {
    warn('TINY_PROXY_LOG', `standard output threw: ${describe(thrown)}`);
  }
}

process.on('exit', flush);
