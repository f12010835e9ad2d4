/** The tests of the sessions of some documents. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sessionsOf } from './blocks.js';
import { Project } from './project.js';
import { runSession } from './session.js';

export function testSessions(documents: readonly string[], suite: 'test' | 'e2e'): void {
  const project = new Project();
  beforeAll(() => project.build(), 60_000);
  afterAll(() => project.remove());

  describe('a session', () => {
    const sessions = sessionsOf(documents, suite);
    it.each(sessions.map((session) => [session.where, session] as const))(
      'prints what the document says: %s',
      async (where, session) => {
        const place = session.info.express === '4' ? project.folder4 : project.folder;
        const folder = join(place, where.replaceAll(/[/:]/g, '-'));
        for (const { command, expected, printed } of await runSession(session, folder)) {
          expect({ command, printed }).toEqual({ command, printed: expected });
        }
      },
      60_000,
    );
  });
}
