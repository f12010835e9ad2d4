/**
 * A manifest against the schema that Kubernetes has published for its kind, as kubernetes-models has
 * compiled it. The API server takes fields that it does not know and drops them; here they are
 * faults, as they are for `kubectl apply`.
 */
import type { Manifest } from '../support/documents/manifests.js';

interface Model {
  prototype: { validate(): void };
}

/** What is wrong, each thing in a line. */
export async function faultsOf(manifest: Manifest): Promise<string[]> {
  const { apiVersion, kind } = manifest;
  const models = await import(`kubernetes-models/${apiVersion}/${kind}`).catch(() => ({}));
  const model: Model | undefined = models[kind];
  if (model === undefined) return [`no such kind: ${apiVersion} ${kind}`];
  const read = new Set<string>();
  try {
    model.prototype.validate.call(watched(manifest, '', read));
  } catch (error) {
    return (error as Error).message.split(', ');
  }
  return pathsOf(manifest, '')
    .filter((path) => !read.has(path))
    .map((path) => `data${path} is unknown`);
}

/**
 * The compiled schemas allow fields that they do not name. But they look at each that they do name,
 * and at all of a map: what nobody has looked at is unknown.
 */
function watched<T>(value: T, path: string, read: Set<string>): T {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get(target, key) {
      const own = Reflect.get(target, key);
      if (typeof key === 'symbol' || !Object.hasOwn(target, key)) return own;
      read.add(`${path}/${key}`);
      return watched(own, `${path}/${key}`, read);
    },
  });
}

/** Of everything in it, by the keys that lead there. */
function pathsOf(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    `${path}/${key}`,
    ...pathsOf(inner, `${path}/${key}`),
  ]);
}
