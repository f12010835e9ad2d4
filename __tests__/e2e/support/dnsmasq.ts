// Debian's dnsmasq, that answers for the names a test gives it, and for no others.
import { promises as dns } from 'node:dns';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort, Program } from './program.js';

/** One that runs. */
export interface Dnsmasq {
  /** Node's own, that asks this server. */
  resolver(): dns.Resolver;
  /** Other records, by dnsmasq's own options: `host-record=...`, `srv-host=...`. It is away for a moment. */
  serve(records: string[]): Promise<void>;
  kill(): Promise<void>;
}

/** Starts one. */
export async function startDnsmasq(records: string[]): Promise<Dnsmasq> {
  const program = new Program('dnsmasq');
  const port = await freePort();
  const settings = [
    ...['keep-in-foreground', 'log-facility=-', 'conf-file=/dev/null', 'no-resolv', 'no-hosts'],
    ...[`port=${port}`, 'listen-address=127.0.0.1', 'bind-interfaces', 'local=/internal/'],
    `pid-file=${join(program.folder, 'dnsmasq.pid')}`,
    `user=${userInfo().username}`, // with another one, the kernel would not kill it with us
  ];
  async function start(now: string[]): Promise<void> {
    program.start([...settings, ...now].map((setting) => `--${setting}`));
    await program.untilAccepting(port);
  }
  await start(records);
  return {
    resolver() {
      const resolver = new dns.Resolver({ timeout: 500, tries: 2 });
      resolver.setServers([`127.0.0.1:${port}`]);
      return resolver;
    },
    async serve(now) {
      await program.kill();
      await start(now);
    },
    kill: () => program.kill(),
  };
}
