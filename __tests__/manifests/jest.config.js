/** `npm run manifests`: with the schemas of Kubernetes, some 20 MB that `npm test` does without. */
import unitTests from '../../jest.config.js';

/** @type {import('jest').Config} */
export default {
  ...unitTests,
  rootDir: '../..',
  testMatch: ['<rootDir>/__tests__/manifests/*.manifests.ts'],
};
