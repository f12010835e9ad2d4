/** `npm run e2e`: with real servers and a browser, which `npm test` does without. */
import unitTests from '../../jest.config.js';

/** @type {import('jest').Config} */
export default {
  ...unitTests,
  rootDir: '../..',
  testMatch: ['<rootDir>/__tests__/e2e/**/*.e2e.ts'],
  testTimeout: 30_000,
};
