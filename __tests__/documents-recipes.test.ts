// The `console` blocks of the recipes, run: what they print is what is printed.
import { DOCUMENTS } from './support/documents/blocks.js';
import { testSessions } from './support/documents/run.js';

testSessions(
  DOCUMENTS.filter((document) => document.startsWith('docs/recipes/')),
  'test',
);
