/**
 * A guard around every test: whatever the process itself complains about (a listener leak, a
 * deprecated call, an error that nobody handled) fails the test during which it was heard, or the
 * next one when it comes late.
 */
import { runInThisContext } from 'node:vm';
import { afterAll, afterEach } from '@jest/globals';

// A test's own `process` is jest's copy, whose listeners hear nothing: this is the real one.
const realProcess = runInThisContext('process') as NodeJS.Process;
// Kept from before any test can install fake timers.
const { setImmediate } = globalThis;

const watchedWarnings = ['MaxListenersExceededWarning', 'DeprecationWarning'];
const testTools = /node_modules\/(?:@jest|@swc|jest(?:-[^/]+)?|superagent|supertest)\//;

const complaints: string[] = [];

function complain(event: string, error: unknown): void {
  // Not `instanceof Error`: what the process tells comes from outside of jest's sandbox.
  const stack = (error as Partial<Error> | null | undefined)?.stack;
  complaints.push(`${event}: ${stack ?? error}`);
}

/** Whether the frame that called into Node lies in a test tool: our own warnings never do. */
function comesFromTestTool(warning: Error): boolean {
  const frames = warning.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  const caller = frames.find((frame) => !frame.includes('node:'));
  return caller !== undefined && testTools.test(caller);
}

function onWarning(warning: Error): void {
  if (!watchedWarnings.includes(warning.name)) return;
  if (warning.name === 'DeprecationWarning' && comesFromTestTool(warning)) return;
  complain('warning', warning);
}
const onUnhandledRejection = (reason: unknown) => complain('unhandledRejection', reason);
const onUncaughtException = (error: unknown) => complain('uncaughtException', error);

realProcess.on('warning', onWarning);
realProcess.on('unhandledRejection', onUnhandledRejection);
realProcess.on('uncaughtException', onUncaughtException);

async function expectNoComplaints(): Promise<void> {
  // Warnings and rejections are told at the end of a turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve));
  const heard = complaints.splice(0);
  if (heard.length > 0) throw new Error(`The process complained:\n${heard.join('\n')}`);
}

afterEach(expectNoComplaints);
afterAll(async () => {
  try {
    await expectNoComplaints();
  } finally {
    realProcess.off('warning', onWarning);
    realProcess.off('unhandledRejection', onUnhandledRejection);
    realProcess.off('uncaughtException', onUncaughtException);
  }
});
