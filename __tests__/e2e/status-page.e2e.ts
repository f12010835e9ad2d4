// The status page in a real browser: what somebody on call sees, and does with the keyboard.
import { describe, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { type Backend, reply, resetConnection, startBackends } from '../support/backend.js';
import { get } from '../support/proxy.js';
import { sendRaw } from '../support/raw.js';
import { type RunningPage, startPage } from '../support/status-page.js';
import { until } from '../support/wait.js';
import { openPage, type WatchedPage } from './support/browser.js';
import { type GatewayOptions, type Kind, startGateway } from './support/gateway.js';

/** `page` is the browser's. */
interface Opened extends WatchedPage, Omit<RunningPage, 'page'> {
  backends: Backend[];
  /** The row of a backend. */
  row(backend: Backend): ReturnType<Page['locator']>;
}

/** A page with two backends, which one failure opens for a minute, in a browser of this look. */
async function openStatus(look: Parameters<typeof openPage>[1] = {}): Promise<Opened> {
  const backends = await startBackends(reply(200, 'a'), reply(200, 'b'));
  const running = await startPage(
    {
      target: backends.map(({ url }) => url),
      balance: (_req, candidates) => candidates[0]!,
      breaker: { failures: 1, cooldown: 60_000 },
    },
    { actions: true },
  );
  const watched = await openPage(`${running.url}/_proxy`, look);
  const { page } = watched;
  await page.locator('#connection[data-state=live]').waitFor();
  const row = (backend: Backend) =>
    page.locator('table.backends tbody tr', { hasText: backend.host });
  return { ...running, ...watched, backends, row };
}

/** Sends one request that its first backend fails. */
async function trip({ url, backends, proxy }: Opened, id = 'night-1'): Promise<void> {
  backends[0]?.answerWith(resetConnection());
  await get(`${url}/orders/7?token=secret`, { headers: { 'X-Request-ID': id } });
  await until(() => proxy.status().inFlight === 0);
}

/** Seconds to the probe, as the row shows them. */
async function countdown(row: ReturnType<Page['locator']>): Promise<number> {
  return Number(/probe in (\d+) s/.exec(await row.innerText())?.[1]);
}

it('shows at a glance which backend is sick, since when, why, and what is done', async () => {
  const opened = await openStatus();
  const { page, row, backends, complaints } = opened;
  const [sick, well] = backends as [Backend, Backend];
  const verdict = page.locator('#verdict');
  await page.getByRole('heading', { name: 'All 2 backends are well' }).waitFor();

  await trip(opened);

  await page.getByRole('heading', { name: '1 of 2 backends is out of rotation' }).waitFor();
  expect(await verdict.innerText()).toMatch(
    new RegExp(
      `${sick.host} has its breaker open since \\d\\d:\\d\\d:\\d\\d \\(\\d+ s\\): ECONNRESET. Its requests go to the other one; probe in \\d+ s.`,
    ),
  );
  expect(await page.title()).toBe('(1 out) Proxy status');
  expect(await row(sick).innerText()).toMatch(/open\s+probe in \d+ s\s+ECONNRESET\s+\d+ s ago/);
  expect(await row(well).innerText()).toMatch(/closed\s+takes requests/);
  const first = await countdown(row(sick));
  await until(() => false, 'the countdown', 2100).catch(() => {}); // it goes down by itself
  expect(await countdown(row(sick))).toBeLessThan(first);
  expect(await page.locator('#incident-rows').innerText()).toMatch('breaker open after a failure.');
  expect(await page.locator('#announcer').innerText()).toMatch('breaker open');

  const exchange = page.locator('#exchange-rows tr').first();
  expect((await exchange.innerText()).replace(/\s+/g, ' ')).toMatch(
    new RegExp(`night-1 GET /orders/7 200 .* ✕ ?${sick.host} ECONNRESET .* ✓ ?${well.host} 200`),
  );
  expect(await page.content()).not.toContain('secret');
  expect(complaints).toEqual([]);
});

it('filters by request id, and holds the list', async () => {
  const { page, url, complaints } = await openStatus();
  for (const id of ['day-1', 'night-1', 'night-2']) {
    await get(url, { headers: { 'X-Request-ID': id } });
  }
  const rows = page.locator('#exchange-rows tr');
  await rows.nth(2).waitFor();

  await page.getByLabel('Request id').fill('NIGHT');
  expect(await rows.count()).toBe(2);
  expect(await page.locator('#exchanges-count').innerText()).toBe('2 found');
  await page.getByLabel('Failed or retried only').check();
  expect(await rows.count()).toBe(0);
  await page.getByText('None of the kept exchanges matches.').waitFor();
  await page.getByLabel('Failed or retried only').uncheck();

  const hold = page.getByRole('button', { name: 'Hold' });
  await hold.click();
  await get(url, { headers: { 'X-Request-ID': 'night-3' } });
  await page.getByText('4 requests').waitFor();
  expect(await rows.count()).toBe(2);
  expect(await hold.getAttribute('aria-pressed')).toBe('true');
  await hold.click();
  expect(await rows.count()).toBe(3);
  expect(complaints).toEqual([]);
});

it('is used by keyboard alone: the way to the exchanges, a drain, and back', async () => {
  const { page, proxy, backends, row, complaints } = await openStatus();
  const drained = () => proxy.status().backends.map((backend) => backend.drained);
  const focused = () => page.locator(':focus');

  await page.keyboard.press('Tab');
  expect(await focused().innerText()).toBe('Skip to exchanges');
  await page.keyboard.press('Tab'); // the table scrolls by the arrow keys
  await page.keyboard.press('Tab');
  expect(await focused().getAttribute('aria-label')).toBe(`Drain ${backends[0]?.host}`);
  const outline = await focused().evaluate((button) => getComputedStyle(button).outlineStyle);
  expect(outline).toBe('solid');
  await page.keyboard.press('Enter');
  await until(() => drained()[0] === true);
  await page.getByRole('heading', { name: '1 of 2 backends is out of rotation' }).waitFor();
  expect(await row(backends[0]!).innerText()).toMatch(/drained\s+on this page; nothing runs here/);

  // Reports have come meanwhile, and the focus is where it was.
  expect(await focused().getAttribute('aria-label')).toBe(`Undrain ${backends[0]?.host}`);
  await page.keyboard.press('Space');
  await until(() => drained()[0] === false);
  await page.getByRole('heading', { name: 'All 2 backends are well' }).waitFor();
  expect(complaints).toEqual([]);
});

it('asks before the last backend is drained', async () => {
  const { page, proxy, backends } = await openStatus();
  const asked: string[] = [];
  page.on('dialog', (dialog) => {
    asked.push(dialog.message());
    void (asked.length === 1 ? dialog.dismiss() : dialog.accept());
  });
  proxy.drain(backends[1]!.url);
  await page.getByText('in code; nothing runs here').waitFor();
  const button = page.getByRole('button', { name: `Drain ${backends[0]?.host}` });

  await button.click();
  await until(() => asked.length === 1);
  expect(proxy.status().backends[0]?.drained).toBe(false);
  await button.click();
  await until(() => proxy.status().backends[0]?.drained === true);

  expect(asked[0]).toMatch('No other backend takes requests.');
  await page.getByText('No backend takes requests: clients get 503').waitFor();
});

it('takes what clients send for text', async () => {
  const { page, port, complaints } = await openStatus();
  const path = '/<img/src=x/onerror=alert(1)>';

  await sendRaw(port, `GET ${path} HTTP/1.1\r\nHost: a\r\nX-Request-ID: a+b=@/~\r\n\r\n`);

  await page.getByText(path).waitFor();
  expect(await page.locator('main img').count()).toBe(0);
  expect(await page.locator('code.id').first().innerText()).toBe('a+b=@/~');
  expect(complaints).toEqual([]);
});

it('tells when what it shows is old: the proxy has closed', async () => {
  const { page, proxy } = await openStatus();

  await proxy.close();

  await page.getByText(/^The proxy has closed; last report \d\d:/).waitFor();
  expect(await page.locator('html').getAttribute('data-old')).toBe('');
});

describe("access: 'loopback' lets nobody in by way of a server on the same machine", () => {
  it.each<[what: string, kind: Kind, options: Partial<GatewayOptions>]>([
    ['nginx as it comes', 'nginx', { asItComes: true }],
    ['nginx that sets X-Forwarded-For', 'nginx', { first: true }],
    ['HAProxy with forwardfor', 'haproxy', { first: true }],
  ])('%s', async (_what, kind, options) => {
    const { port, at } = await startPage({ target: 'http://127.0.0.1:1' });
    const gateway = await startGateway(kind, { upstream: port, ...options });

    expect((await get(`${gateway.url}/_proxy/status.json`)).status).toBe(403);
    expect((await get(`${at}status.json`)).status).toBe(200);
  });
});

/** Texts whose contrast is below AA's 4.5, with what they have. */
function tooFaint(): string[] {
  const rgba = (color: string): number[] => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (color: number[]): number => {
    const [r = 0, g = 0, b = 0] = color.slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const groundOf = (element: Element | null): number[] => {
    if (element === null) return [255, 255, 255];
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 0 ? groundOf(element.parentElement) : color;
  };
  const holdsText = (element: Element): boolean =>
    [...element.childNodes].some(
      ({ nodeType, textContent }) => nodeType === 3 && textContent?.trim(),
    );
  return [...document.querySelectorAll('body *')].filter(holdsText).flatMap((element) => {
    const [a, b] = [rgba(getComputedStyle(element).color), groundOf(element)].map(luminance);
    const [dark, light] = [Math.min(a!, b!), Math.max(a!, b!)];
    const contrast = (light + 0.05) / (dark + 0.05);
    return contrast < 4.5 ? [`${element.textContent?.trim()}: ${contrast.toFixed(2)}`] : [];
  });
}

describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
  it('every text has the contrast that WCAG AA asks for', async () => {
    const opened = await openStatus({ colorScheme });
    const { page, backends, row } = opened;
    await trip(opened);
    await row(backends[0]!).getByText('open').waitFor();

    expect(await page.evaluate(tooFaint)).toEqual([]);
  });

  it('nothing is cut off on a phone', async () => {
    const opened = await openStatus({ colorScheme, viewport: { width: 400, height: 800 } });
    const { page, backends, row } = opened;
    await trip(opened, 'x'.repeat(128));
    await row(backends[0]!).getByText('open').waitFor();

    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width).toBeLessThanOrEqual(400);
    expect(await page.getByRole('rowheader').count()).toBe(2); // it is a table still
  });
});
