// The `console` blocks of the documents that need programs of the system: nginx, dnsmasq, Redis.
import { DOCUMENTS } from '../support/documents/blocks.js';
import { testSessions } from '../support/documents/run.js';

testSessions(DOCUMENTS, 'e2e');
