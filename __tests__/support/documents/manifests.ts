/**
 * The Kubernetes manifests of a document, and what no schema can tell of them: whether they fit each
 * other, and the programs that they run. What a field may be is for `npm run manifests`.
 */
import { parseAllDocuments } from 'yaml';
import { DEFAULTS } from '../../../src/options.js';
import type { Block } from './blocks.js';

type Labels = Record<string, string>;

interface Probe {
  httpGet: { path: string; port: string | number };
}

interface Container {
  command: string[];
  ports: { name: string; containerPort: number }[];
  readinessProbe: Probe;
  livenessProbe?: Probe;
  lifecycle: { preStop: { sleep: { seconds: number } } };
}

/** As far as it is looked at here. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  spec: Record<string, unknown>;
}

interface Deployment extends Manifest {
  spec: {
    replicas: number;
    strategy: { rollingUpdate: { maxSurge: number; maxUnavailable: number } };
    selector: { matchLabels: Labels };
    template: {
      metadata: { labels: Labels };
      spec: {
        terminationGracePeriodSeconds: number;
        topologySpreadConstraints?: { labelSelector: { matchLabels: Labels } }[];
        containers: [Container];
      };
    };
  };
}

interface Service extends Manifest {
  spec: {
    clusterIP?: string;
    publishNotReadyAddresses?: boolean;
    selector: Labels;
    ports: { port: number; targetPort?: string | number }[];
  };
}

interface Budget extends Manifest {
  spec: { selector: { matchLabels: Labels }; maxUnavailable: number };
}

/** How long a cache may have a pod that has left DNS: `ttl` in the Corefile of kubeadm, and of others. */
const DNS_TTL_S = 30;

export function manifestsOf(blocks: readonly Block[]): Manifest[] {
  return blocks
    .filter(({ language }) => language === 'yaml')
    .flatMap(({ text }) => parseAllDocuments(text).map((document) => document.toJS()))
    .filter((value) => value?.apiVersion !== undefined && value.kind !== undefined);
}

/** What is wrong, each thing in a line. */
export function complaintsOf(blocks: readonly Block[]): string[] {
  const manifests = manifestsOf(blocks);
  const of = <T extends Manifest>(kind: string): T[] =>
    manifests.filter((manifest): manifest is T => manifest.kind === kind);
  const programs = new Map(blocks.map(({ info, text }) => [info.file ?? '', text]));
  const cluster: Cluster = {
    deployments: of('Deployment'),
    services: of('Service'),
    budgets: of('PodDisruptionBudget'),
    programOf: ({ spec }) => programs.get(spec.template.spec.containers[0].command[1] ?? '') ?? '',
  };
  return [
    ...cluster.deployments.flatMap((deployment) => ofDeployment(deployment, cluster)),
    ...cluster.services.flatMap((service) => ofService(service, cluster)),
  ];
}

interface Cluster {
  deployments: Deployment[];
  services: Service[];
  budgets: Budget[];
  /** The text of the file that a Deployment's container runs. */
  programOf(deployment: Deployment): string;
}

const selects = (wanted: Labels, { spec }: Deployment): boolean =>
  Object.entries(wanted).every(([key, value]) => spec.template.metadata.labels[key] === value);

const failed = (checks: [isFine: boolean, complaint: string][], about: Manifest): string[] =>
  checks.flatMap(([isFine, complaint]) =>
    isFine ? [] : [`${about.kind} ${about.metadata.name}: ${complaint}`],
  );

function ofDeployment(deployment: Deployment, cluster: Cluster): string[] {
  const { replicas, strategy, selector, template } = deployment.spec;
  const { topologySpreadConstraints: spread = [], containers } = template.spec;
  const { maxSurge, maxUnavailable } = strategy.rollingUpdate;
  const budgets = cluster.budgets.filter(({ spec }) =>
    selects(spec.selector.matchLabels, deployment),
  );
  const away = budgets[0]?.spec.maxUnavailable ?? 0;
  return [
    ...failed(
      [
        [selects(selector.matchLabels, deployment), 'does not select its own pods'],
        [
          spread.every(({ labelSelector }) => selects(labelSelector.matchLabels, deployment)),
          'spreads other pods than its own',
        ],
        [maxUnavailable === 0 && maxSurge > 0, 'has fewer pods while it is updated'],
        [budgets.length === 1, `has ${budgets.length} PodDisruptionBudgets`],
        [replicas - away >= 1, 'has no pod left by its PodDisruptionBudget'],
        [away >= 1, 'is never let go by its PodDisruptionBudget'],
      ],
      deployment,
    ),
    ...ofContainer(containers[0], deployment, cluster.programOf(deployment)),
    ...ofSeconds(deployment, cluster),
  ];
}

function ofContainer(container: Container, about: Deployment, program: string): string[] {
  const { command, ports, readinessProbe, livenessProbe } = container;
  const probes = [readinessProbe, ...(livenessProbe ? [livenessProbe] : [])];
  return failed(
    [
      [command[0] === 'node' && program !== '', `runs no program of the document: ${command}`],
      ...ports.map(({ containerPort: port }): [boolean, string] => [
        new RegExp(`\\.listen\\(${port}\\b`).test(program),
        `does not listen on ${port}`,
      ]),
      ...probes.flatMap(({ httpGet: { path, port } }): [boolean, string][] => [
        [portOf(port, container) !== undefined, `is probed at no port of its own: ${port}`],
        [program.includes(`app.get('${path}',`), `does not serve ${path}`],
      ]),
    ],
    about,
  );
}

/** By its name or its number. */
const portOf = (port: string | number, { ports }: Container): number | undefined =>
  ports.find(({ name, containerPort }) => port === name || port === containerPort)?.containerPort;

/** What a program says of itself in `const NAME_MS = 20_000;`; NaN where it does not. */
const msOf = (name: string, program: string): number =>
  Number(new RegExp(`const ${name} = ([\\d_]+);`).exec(program)?.[1]?.replaceAll('_', ''));

/** Between a pod's deletion and its end. */
function ofSeconds(deployment: Deployment, cluster: Cluster): string[] {
  const { terminationGracePeriodSeconds: until, containers } = deployment.spec.template.spec;
  const sleep = containers[0].lifecycle.preStop.sleep.seconds;
  const program = cluster.programOf(deployment);
  const discoverer = cluster.deployments
    .map((other) => cluster.programOf(other))
    .find((text) => serviceIn(text, cluster)?.some((service) => picks(service, deployment)));
  const endMs = discoverer
    ? DEFAULTS.attemptTimeout
    : msOf('DRAIN_MS', program) + msOf('GRACE_MS', program);
  const known = discoverer ? DNS_TTL_S + msOf('REFRESH_MS', discoverer) / 1000 : 0;
  const needed = sleep + endMs / 1000;
  return failed(
    [
      [until > needed, `is killed after ${until} s, and needs ${needed}`],
      [sleep > known, `ends ${sleep} s after it has left DNS, and is known for ${known}`],
    ],
    deployment,
  );
}

const picks = ({ spec }: Service, deployment: Deployment): boolean =>
  selects(spec.selector, deployment);

const NAME = /'http:\/\/([\w-]+)\.([\w-]+)\.svc\.cluster\.local:(\d+)'/;

/** The headless Services whose pods a program discovers; undefined where it discovers none. */
function serviceIn(program: string, { services }: Cluster): Service[] | undefined {
  const [, name, namespace, port] = NAME.exec(program) ?? [];
  if (name === undefined || !program.includes('fromDns(')) return undefined;
  return services.filter(
    ({ metadata, spec }) =>
      metadata.name === name &&
      (metadata.namespace ?? 'default') === namespace &&
      spec.clusterIP === 'None' &&
      spec.ports.some((one) => one.port === Number(port)),
  );
}

function ofService(service: Service, cluster: Cluster): string[] {
  const { clusterIP, publishNotReadyAddresses, ports } = service.spec;
  const deployments = cluster.deployments.filter((deployment) => picks(service, deployment));
  const containers = deployments.map(({ spec }) => spec.template.spec.containers[0]);
  const isHeadless = clusterIP === 'None';
  const programs = cluster.deployments.map((deployment) => cluster.programOf(deployment));
  return failed(
    [
      [deployments.length === 1, `selects the pods of ${deployments.length} Deployments`],
      ...ports.flatMap(({ port, targetPort = port }): [boolean, string][] =>
        containers.flatMap((container): [boolean, string][] => [
          [portOf(targetPort, container) !== undefined, `leads to no port: ${targetPort}`],
          [!isHeadless || portOf(targetPort, container) === port, `translates port ${port}`],
        ]),
      ),
      [!isHeadless || !publishNotReadyAddresses, 'keeps pods in DNS that are not ready'],
      [
        !isHeadless || programs.some((text) => serviceIn(text, cluster)?.includes(service)),
        'is discovered by no program',
      ],
    ],
    service,
  );
}
