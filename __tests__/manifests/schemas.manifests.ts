// Every manifest of the documents fits the schema of its kind, and knows no other field.
import { describe, expect, it } from '@jest/globals';
import { blocksOf, DOCUMENTS } from '../support/documents/blocks.js';
import { type Manifest, manifestsOf } from '../support/documents/manifests.js';
import { faultsOf } from './schema.js';

const manifests = DOCUMENTS.flatMap((document) =>
  manifestsOf(blocksOf(document)).map((manifest): [string, Manifest] => [
    `${document}: ${manifest.kind} ${manifest.metadata.name}`,
    manifest,
  ]),
);

/** Keys of one's own are right there. */
const MAPS = ['labels', 'matchLabels', 'selector'];

/** Every object in it whose fields a schema names. */
function objectsOf(value: unknown, path = '', name = ''): [string, Record<string, unknown>][] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.entries(value).flatMap(([key, one]) =>
    objectsOf(one, `${path}/${key}`, key),
  );
  const isMap = MAPS.includes(name) && Object.values(value).every((one) => typeof one === 'string');
  return Array.isArray(value) || isMap
    ? inner
    : [[path, value as Record<string, unknown>], ...inner];
}

describe.each(manifests)('%s', (_name, manifest) => {
  it('fits the schema of its kind', async () => {
    expect(await faultsOf(manifest)).toEqual([]);
  });

  it('has an unknown field wherever one is put', async () => {
    const places = objectsOf(structuredClone(manifest)).map(([path]) => path);
    for (const place of places) {
      const copy = structuredClone(manifest);
      const [, object] = objectsOf(copy).find(([path]) => path === place)!;
      object.terminationGracePeriodSecond = 40;
      expect(await faultsOf(copy)).toEqual([
        `data${place}/terminationGracePeriodSecond is unknown`,
      ]);
    }
  });
});

describe('a manifest', () => {
  const MISTAKES: [kind: string, from: string, to: string, fault: RegExp][] = [
    ['Deployment edge', '"replicas":2', '"replicas":"2"', /\/spec\/replicas must be integer/],
    ['Deployment edge', '"maxSkew":1,', '', /must have required property maxSkew/],
    [
      'Deployment edge',
      '"ScheduleAnyway"',
      '"Sometimes"',
      /whenUnsatisfiable must be equal to one of/,
    ],
    ['Deployment edge', '"seconds":10', '"secs":10', /must have required property seconds/],
    ['Deployment edge', '"containerPort":8080', '"containerPort":"http"', /containerPort must be/],
    ['Deployment edge', '"selector"', '"selects"', /\/spec must have required property selector/],
    ['Service orders', '"port":8081', '"port":8081.5', /\/spec\/ports\/0\/port must be integer/],
    ['Service orders', '"selector":{"app":"orders"}', '"selector":["orders"]', /selector must be/],
    ['PodDisruptionBudget edge', '"AlwaysAllow"', '"Always"', /unhealthyPodEvictionPolicy must be/],
    ['PodDisruptionBudget edge', 'policy/v1', 'policy/v2', /no such kind: policy\/v2 PodDisr/],
    ['Deployment edge', 'apps/v1', 'apps/v1beta9', /no such kind: apps\/v1beta9 Deployment/],
  ];

  it.each(MISTAKES)('%s with %s made %s is at fault: %s', async (kind, from, to, fault) => {
    const [, manifest] = manifests.find(([name]) => name === `docs/kubernetes.md: ${kind}`)!;
    const text = JSON.stringify(manifest);
    expect(text).toContain(from);

    expect((await faultsOf(JSON.parse(text.replace(from, to)))).join('\n')).toMatch(fault);
  });
});
