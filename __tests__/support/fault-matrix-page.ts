// docs/fault-matrix.md, made of the rows.
import { type Ending, FAULT_MATRIX, type FaultRow, METHODS } from './fault-matrix.js';

const TOP = `# The fault matrix

Each way in which a backend fails, at each phase of its connection, and what has to come of it.
\`__tests__/fault-matrix.test.ts\` does all of it, with real sockets, for each method and on both transports
(\`npm test -- fault-matrix\`, \`TRANSPORT=http npm test -- fault-matrix\`). This page is made of the same rows
(\`FAULT_MATRIX=write npm test -- fault-matrix\`); they are in \`__tests__/support/fault-matrix/\`.

There are two backends, the faulty one first, and the options are the defaults, but for a timeout that is to be met. A
cell says what the client gets, the hops of the log line, and \`:no-retry\`:

- **200 well**: the well backend's answer, to the client's request byte for byte, with \`X-Request-Attempt: 2\`
- **200 faulty**: the faulty backend's own answer, passed on whole
- **200 cut**: the response had begun; the client's connection is cut, and never ends as if it were whole
- **502**, **504**: the proxy's own, as \`application/problem+json\`
- *not counted*: the breaker has not heard of it. Elsewhere a failure counts one against the faulty backend, in
  \`failures\` and \`consecutiveFailures\`, and nothing against the well one

The faulty backend gets a request once at most, and in no row is a POST sent to a second backend.
`;

/** As the page says it. */
function cell(ending: Ending | undefined): string {
  if (ending === undefined) return '';
  const { status, answer, whole, hops, noRetry, counted } = ending;
  const whose = answer === 'the well' ? ' well' : answer === 'the faulty' ? ' faulty' : '';
  const hopsText = hops.map((hop) => String(hop).replaceAll('|', ' or ')).join(', ');
  const failed = hops.some((hop) => hop !== 200);
  return [
    `**${status}${whole ? whose : ' cut'}**`,
    `\`${hopsText}\``,
    ...(noRetry === '-' ? [] : [`\`${noRetry}\``]),
    ...(failed && counted === 0 ? ['*not counted*'] : []),
  ].join(' · ');
}

const REACHED = { nothing: 'nothing', part: 'part of it', all: 'the request' };

function line(row: FaultRow): string {
  const { fault, how, reached } = row;
  const cells = METHODS.map((method) => cell(row[method]));
  return `| ${[fault, how, REACHED[reached], ...cells].join(' | ')} |`;
}

export function faultMatrixPage(): string {
  const phases = [...new Set(FAULT_MATRIX.map(({ phase }) => phase))];
  const tables = phases.map((phase) => {
    const rows = FAULT_MATRIX.filter((row) => row.phase === phase);
    return [
      `## ${phase[0]!.toUpperCase()}${phase.slice(1)}`,
      '',
      `| fault | how | the backend gets | ${METHODS.join(' | ')} |`,
      '|---|---|---|---|---|---|',
      ...rows.map(line),
      '',
    ].join('\n');
  });
  return [TOP, ...tables].join('\n');
}
