// The manifests of docs/kubernetes.md fit each other and the programs that they run.
import { describe, expect, it } from '@jest/globals';
import { blocksIn, textOf } from './support/documents/blocks.js';
import { complaintsOf, manifestsOf } from './support/documents/manifests.js';

const DOCUMENT = 'docs/kubernetes.md';
const TEXT = textOf(DOCUMENT);

/** What stands in the document, what stands there instead, and the complaint about it. */
const MISTAKES: [from: string, to: string, complaint: string][] = [
  [
    'selector: { matchLabels: { app: edge } } # which',
    'selector: { matchLabels: { app: egde } } # which',
    'Deployment edge: does not select its own pods',
  ],
  [
    'labelSelector: { matchLabels: { app: edge } }',
    'labelSelector: { matchLabels: { app: orders } }',
    'Deployment edge: spreads other pods than its own',
  ],
  [
    'maxUnavailable: 0 }',
    'maxUnavailable: 1 }',
    'Deployment edge: has fewer pods while it is updated',
  ],
  ['maxSurge: 1,', 'maxSurge: 0,', 'Deployment edge: has fewer pods while it is updated'],
  ['replicas: 2', 'replicas: 1', 'Deployment edge: has no pod left by its PodDisruptionBudget'],
  [
    '  maxUnavailable: 1',
    '  maxUnavailable: 2',
    'Deployment edge: has no pod left by its PodDisruptionBudget',
  ],
  [
    '  maxUnavailable: 1',
    '  maxUnavailable: 0',
    'Deployment edge: is never let go by its PodDisruptionBudget',
  ],
  [
    'kind: PodDisruptionBudget',
    'kind: PodDisruptionBudgets',
    'Deployment edge: has 0 PodDisruptionBudgets',
  ],
  [
    'command: [node, server.mjs]',
    'command: [node, main.mjs]',
    'Deployment edge: runs no program of the document: node,main.mjs',
  ],
  [
    'command: [node, server.mjs]',
    'command: [npm, start]',
    'Deployment edge: runs no program of the document: npm,start',
  ],
  ['containerPort: 8080', 'containerPort: 8081', 'Deployment edge: does not listen on 8081'],
  ['app.listen(8081,', 'app.listen(8082,', 'Deployment orders: does not listen on 8081'],
  [
    '{ path: /ready, port: http }',
    '{ path: /ready, port: web }',
    'Deployment edge: is probed at no port of its own: web',
  ],
  [
    '{ path: /ready, port: http }',
    '{ path: /ready, port: 80 }',
    'Deployment edge: is probed at no port of its own: 80',
  ],
  ['path: /live', 'path: /alive', 'Deployment edge: does not serve /alive'],
  ["app.get('/ready',", "app.get('/readyz',", 'Deployment edge: does not serve /ready'],
  [
    'terminationGracePeriodSeconds: 40',
    'terminationGracePeriodSeconds: 33',
    'Deployment edge: is killed after 33 s, and needs 33',
  ],
  ['GRACE_MS = 20_000', 'GRACE_MS = 30_000', 'Deployment edge: is killed after 40 s, and needs 43'],
  ['DRAIN_MS = 3000', 'DRAIN_MS = 15_000', 'Deployment edge: is killed after 40 s, and needs 45'],
  ['seconds: 10 }', 'seconds: 20 }', 'Deployment edge: is killed after 40 s, and needs 43'],
  [
    'terminationGracePeriodSeconds: 60',
    'terminationGracePeriodSeconds: 30',
    'Deployment orders: is killed after 30 s, and needs 50',
  ],
  [
    'seconds: 35 }',
    'seconds: 30 }',
    'Deployment orders: ends 30 s after it has left DNS, and is known for 32',
  ],
  [
    'REFRESH_MS = 2000',
    'REFRESH_MS = 10_000',
    'Deployment orders: ends 35 s after it has left DNS, and is known for 40',
  ],
  [
    'selector: { app: edge }',
    'selector: { app: egde }',
    'Service edge: selects the pods of 0 Deployments',
  ],
  ['targetPort: http', 'targetPort: web', 'Service edge: leads to no port: web'],
  ['port: 8081 }', 'port: 80, targetPort: http }', 'Service orders: translates port 80'],
  [
    'publishNotReadyAddresses: false',
    'publishNotReadyAddresses: true',
    'Service orders: keeps pods in DNS that are not ready',
  ],
  [
    'http://orders.default.svc',
    'http://order.default.svc',
    'Service orders: is discovered by no program',
  ],
  [
    'http://orders.default.svc',
    'http://orders.night.svc',
    'Service orders: is discovered by no program',
  ],
  ['cluster.local:8081', 'cluster.local:8080', 'Service orders: is discovered by no program'],
  ['const GRACE_MS', 'const MERCY_MS', 'Deployment edge: is killed after 40 s, and needs NaN'],
  [
    'const REFRESH_MS',
    'const LOOK_MS',
    'Deployment orders: ends 35 s after it has left DNS, and is known for NaN',
  ],
];

describe('the manifests', () => {
  it('are of two Deployments, each with its Service and PodDisruptionBudget', () => {
    const names = manifestsOf(blocksIn(TEXT, DOCUMENT)).map(
      ({ apiVersion, kind, metadata }) => `${apiVersion} ${kind} ${metadata.name}`,
    );

    expect(names.sort()).toEqual([
      'apps/v1 Deployment edge',
      'apps/v1 Deployment orders',
      'policy/v1 PodDisruptionBudget edge',
      'policy/v1 PodDisruptionBudget orders',
      'v1 Service edge',
      'v1 Service orders',
    ]);
  });

  it('fit each other and their programs', () => {
    expect(complaintsOf(blocksIn(TEXT, DOCUMENT))).toEqual([]);
  });

  it.each(MISTAKES)('would not with %s made %s: %s', (from, to, complaint) => {
    expect(TEXT).toContain(from);

    expect(complaintsOf(blocksIn(TEXT.replace(from, to), DOCUMENT))).toContain(complaint);
  });
});
