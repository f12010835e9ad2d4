// TRANSPORT=http in the environment: every proxy of the tests is on node:http (support/proxy.ts).
/** With EXPRESS=4 in the environment, `express` is Express 4 everywhere: in src and in the tests. */
const express = process.env.EXPRESS === '4' ? 'express4' : 'express';

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/__tests__/**/*.test.ts'],
  setupFilesAfterEnv: ['<rootDir>/__tests__/setup.ts'],
  testTimeout: 15_000,
  modulePathIgnorePatterns: ['<rootDir>/\\.stryker-tmp/'], // a run of `npm run mutation` beside this one
  // What the fuzz and property tests run, the same every time; `npm run fuzz` has more, and others.
  globals: { FUZZ: { seed: 20_261_122, cases: 2000 } },

  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript' },
          transform: { verbatimModuleSyntax: true },
        },
      },
    ],
  },
  moduleNameMapper: {
    '^express$': express,
    '^express-tiny-proxy$': '<rootDir>/src/index.ts',
    '^express-tiny-proxy/([\\w-]+)$': '<rootDir>/src/$1/index.ts',
    // TypeScript sources import each other as './x.js'; a file that is there under that name wins.
    '^(\\.{1,2}/.*)\\.js$': ['$1.js', '$1.ts'],
  },

  // A file of types only has no code; v8 coverage would count its lines as never run.
  collectCoverageFrom: ['src/**/*.ts', '!src/transport/transport.ts'],
  coverageProvider: 'v8',
  coverageReporters: ['text', 'text-summary'],
  coverageThreshold: { global: { lines: 95, branches: 95 } },
};
