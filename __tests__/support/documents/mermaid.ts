/**
 * The outline of a mermaid diagram: its kind, that blocks are closed, that who is named is declared.
 * (mermaid itself needs a browser.)
 */
import { expect } from '@jest/globals';

const MESSAGE = /^(\w+) *(?:-->>|->>|-->|->|--x|-x) *([+-]?\w+) *: *\S/;

export function checkMermaid(text: string): void {
  const lines = text.split('\n').map((line) => line.trim());
  const [kind = '', ...rest] = lines.filter((line) => line !== '' && !line.startsWith('%%'));
  expect(['sequenceDiagram', 'flowchart TD', 'flowchart LR', 'stateDiagram-v2']).toContain(kind);
  if (kind !== 'sequenceDiagram')
    return expect(rest.every((line) => !line.endsWith('-->'))).toBe(true);
  const declared = new Set<string>();
  let depth = 0;
  for (const line of rest) {
    const participant = /^participant (\w+) as .+$/.exec(line)?.[1];
    if (participant !== undefined) declared.add(participant);
    else if (/^(?:alt|loop|opt|par) .+$/.test(line)) depth += 1;
    else if (line === 'end') depth -= 1;
    else if (/^(?:else|and) .+$/.test(line)) expect(depth).toBeGreaterThan(0);
    else if (/^Note (?:over|left of|right of) /.test(line)) continue;
    else {
      const [, from, to] = MESSAGE.exec(line) ?? [];
      expect([line, declared.has(from ?? ''), declared.has(to ?? '')]).toEqual([line, true, true]);
    }
  }
  expect(depth).toBe(0);
}
