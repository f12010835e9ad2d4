// Debian's Prometheus, which asks one app for its metrics, four times a second.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { get } from '../../support/proxy.js';
import { freePort, Program } from './program.js';

/** One of the series that a query has found. */
export interface Series {
  /** Its name (`__name__`), `instance` and `job` left out. */
  labels: Record<string, string>;
  value: number;
}

/** A Prometheus that runs. */
export interface Prometheus {
  /** What an instant query finds now, by its HTTP API. */
  query(expression: string): Promise<Series[]>;
  /** Asks until the one series that a query finds has this value. */
  untilIs(expression: string, value: number): Promise<void>;
}

const INTERVAL_MS = 250;
/** Prometheus looks for new targets every 5 s; a busy machine takes longer. */
const LIMIT_MS = 15_000;

/** Starts one, that scrapes `/metrics` on this port of 127.0.0.1. */
export async function startPrometheus(scrapedPort: number): Promise<Prometheus> {
  const program = new Program('prometheus');
  const { folder } = program;
  const port = await freePort();
  const config = join(folder, 'prometheus.yml');
  writeFileSync(
    config,
    `global: { scrape_interval: ${INTERVAL_MS}ms, scrape_timeout: ${INTERVAL_MS}ms }
scrape_configs:
  - job_name: app
    static_configs: [{ targets: ['127.0.0.1:${scrapedPort}'] }]
`,
  );
  program.start([
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  await program.untilAccepting(port);
  const url = `http://127.0.0.1:${port}`;
  await eventually(
    async () => (await get(`${url}/-/ready`)).status === 200,
    () => program.output,
  );

  async function query(expression: string): Promise<Series[]> {
    const { text } = await get(`${url}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const { status, error, data } = JSON.parse(text);
    if (status !== 'success') throw new Error(`${expression}: ${error}\n${program.output}`);
    return data.result.map(({ metric, value }: Found) => {
      const { __name__, instance, job, ...labels } = metric;
      return { labels, value: Number(value[1]) };
    });
  }

  async function untilIs(expression: string, value: number): Promise<void> {
    let found: Series[] = [];
    await eventually(
      async () => {
        found = await query(expression);
        return found.length === 1 && found[0]?.value === value;
      },
      () => `${expression} is not ${value} but ${JSON.stringify(found)}`,
    );
  }

  return { query, untilIs };
}

/** @throws what `why` says, when the condition does not come true. */
async function eventually(condition: () => Promise<boolean>, why: () => string): Promise<void> {
  const giveUpAt = performance.now() + LIMIT_MS;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(why());
    await setTimeout(INTERVAL_MS / 5);
  }
}

/** As the API has it: `value` is a time and a text. */
interface Found {
  metric: Record<string, string>;
  value: [at: number, value: string];
}
