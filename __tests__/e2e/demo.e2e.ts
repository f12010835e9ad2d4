// The demo's page in a real browser, as a newcomer uses it: all is done by clicks.
import { expect, it } from '@jest/globals';
import type { Locator, Page } from 'playwright-core';
import { echo, startBackend } from '../support/backend.js';
import { startDemo } from '../support/demo.js';
import { get } from '../support/proxy.js';
import { until } from '../support/wait.js';
import { openPage, picture } from './support/browser.js';

/** The longest of all waits: a breaker's cooldown, and the probes behind it. */
const TURN_MS = 15_000;

const card = (page: Page, number: number) =>
  page.getByRole('article', { name: `Backend ${number}`, exact: true });
const light = (page: Page, number: number, breaker: string) =>
  page.locator(`article[data-backend="${number}"][data-breaker="${breaker}"]`);
const goal = (page: Page, name: string) => page.locator(`[data-goal="${name}"].seen .evidence`);
const step = (page: Page, number: number) => page.locator('#tour details').nth(number - 1);
const press = (place: Page | Locator, name: string) =>
  place.getByRole('button', { name, exact: true }).click();
/** The last line of the log whose request id is this. */
const line = (page: Page, id: string) =>
  page.locator('#lines li', { has: page.getByText(id, { exact: true }) }).last();

async function openDemo(args: string[] = []) {
  const demo = await startDemo(args);
  const opened = await openPage(`${demo.url}/`);
  await card(opened.page, 1).waitFor();
  return { ...demo, ...opened };
}

it('a backend is broken and recovers by clicks, and its light tells', async () => {
  const { page, complaints } = await openDemo();
  await light(page, 2, 'closed').waitFor();

  await card(page, 2).getByRole('radio', { name: '500' }).click();
  const retried = page.locator('#lines .retried').first();
  await retried.waitFor();
  expect(await retried.locator('.number').allTextContents()).toEqual(['2', expect.any(String)]);
  expect(await retried.locator('.status').textContent()).toBe('200');
  await light(page, 2, 'open').waitFor({ timeout: TURN_MS });
  expect(await card(page, 2).locator('.detail').textContent()).toMatch(/^probe in \d+ s$/);
  expect(await card(page, 2).locator('.pips .on').count()).toBe(5);

  await press(page.locator('#requests'), 'Send a GET');
  const sent = line(page, 'get-1');
  await sent.waitFor();
  expect(await sent.locator('.number').allTextContents()).not.toContain('2');
  expect(await page.locator('#answer').textContent()).toMatch(/^get-1: 200, after \d+ ms$/);

  await card(page, 2).getByRole('radio', { name: 'ok' }).click();
  await light(page, 2, 'closed').waitFor({ timeout: TURN_MS });
  expect(await card(page, 2).locator('.detail').textContent()).toBe('its probe was answered');
  await page.locator('#lines .notice', { hasText: 'breaker half-open, probing' }).waitFor();
  await page.locator('#lines .notice', { hasText: 'breaker closed' }).waitFor();
  expect(complaints).toEqual([]);
}, 60_000);

it('the tour is done by its buttons, and each goal is marked when the proxy has shown it', async () => {
  const { page, complaints, child, ended } = await openDemo();
  expect(await page.locator('[data-goal].seen').count()).toBe(0);

  await press(step(page, 1), 'Make backend 2 refuse');
  expect(await goal(page, 'helped').textContent()).toMatch(
    /^Seen: load-\d+: backend 2 ECONNREFUSED, then backend [13] 200$/,
  );
  await goal(page, 'opened').waitFor({ timeout: TURN_MS });
  expect(await goal(page, 'opened').textContent()).toBe('Seen: backend 2: 5 failures in a row');
  await light(page, 2, 'open').waitFor();
  await page.setViewportSize({ width: 1040, height: 716 });
  await picture(page, 'demo');

  await press(step(page, 3), 'Pause the load, all 500');
  await page.getByRole('checkbox', { name: 'steady load', checked: false }).waitFor();
  await press(step(page, 3), 'Send a POST');
  expect(await goal(page, 'once').textContent()).toMatch(/^Seen: post-1: backend \d \w+$/);
  await press(step(page, 3), 'Send a GET');
  expect(await goal(page, 'again').textContent()).toMatch(
    /^Seen: get-1: backend \d \w+, then backend \d \w+, then backend \d \w+$/,
  );
  expect(await line(page, 'post-1').locator('.why').textContent()).toContain('sent once');

  await press(step(page, 4), 'All refuse, load on');
  await goal(page, 'refused').waitFor({ timeout: TURN_MS });
  expect(await goal(page, 'refused').textContent()).toMatch(/: 503 after .* ms, Retry-After: \d+$/);
  for (const number of [1, 2, 3]) await light(page, number, 'open').waitFor();

  await press(step(page, 5), 'Recover all');
  await goal(page, 'closed').waitFor({ timeout: TURN_MS });
  for (const number of [1, 2, 3]) await light(page, number, 'closed').waitFor();
  await press(step(page, 5), '1 and 2 hang, burst of 100');
  await goal(page, 'budget').waitFor({ timeout: TURN_MS });
  expect(await goal(page, 'budget').textContent()).toMatch(/ETIMEDOUT, no retry: budget$/);
  await page.getByText('That was all.').waitFor();
  expect(await page.locator('#tour .done').count()).toBe(5);

  await press(page, 'Start again');
  await page.locator('[data-goal].seen').first().waitFor({ state: 'detached' });
  expect(await step(page, 1).getAttribute('open')).toBe('');
  expect(complaints).toEqual([]);

  child.kill('SIGINT');
  await page.getByRole('alert').getByText('The demo has ended.').waitFor();
  expect(await ended).toEqual([0, null]);
}, 100_000);

it('it is used by keyboard alone', async () => {
  const { page, said, complaints } = await openDemo();
  const focused = () => page.locator(':focus').allTextContents();

  for (let tabs = 0; tabs < 10 && !(await focused()).includes('Make backend 2 refuse'); tabs += 1) {
    await page.keyboard.press('Tab');
  }
  expect(await focused()).toEqual(['Make backend 2 refuse']);
  await page.keyboard.press('Enter');
  await until(() => said.out.includes('2 refuse'), 'the switch by Enter');

  await page.getByRole('radio', { name: 'ok' }).first().focus();
  await page.keyboard.press('ArrowRight');
  await until(() => said.out.includes('1 refuse'), 'the switch by an arrow key');
  expect(complaints).toEqual([]);
}, 60_000);

it.each([
  ['light', 1280],
  ['dark', 400],
  ['light', 320],
] as const)(
  'it fits its window, %s at %d px',
  async (colorScheme, width) => {
    const demo = await startDemo();
    const viewport = { width, height: 800 };
    const { page, complaints } = await openPage(`${demo.url}/`, { viewport, colorScheme });
    await demo.tell(2, '500');
    await page.locator('#lines .retried').first().waitFor();

    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
    const [r = 0] = String(await page.evaluate('getComputedStyle(document.body).color'))
      .match(/\d+/g)!
      .map(Number);
    const root = await page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    const [background = 0] = String(root).match(/\d+/g)!.map(Number);
    expect(background > r).toBe(colorScheme === 'light');
    expect(complaints).toEqual([]);
  },
  40_000,
);

it('nothing of a client is taken for HTML', async () => {
  const { page, url, complaints } = await openDemo();
  const path = '/api/<img/src=x/onerror=alert(1)>?<b>bold</b>';

  await get(url + path, { headers: { 'X-Request-ID': 'hostile' } });

  await line(page, 'hostile').waitFor();
  expect(await line(page, 'hostile').textContent()).toContain(path);
  expect(await page.locator('#lines img, #lines b:has-text("bold")').count()).toBe(0);
  expect(complaints).toEqual([]);
}, 40_000);

it('before backends of your own it shows their lights, and sends only what is asked for', async () => {
  const backend = await startBackend(echo());
  const { page, complaints } = await openDemo([backend.url]);

  expect(await page.getByRole('radio').count()).toBe(0);
  expect(await page.getByRole('heading', { name: 'Two-minute tour' }).count()).toBe(0);
  const statusPage = page.frameLocator('iframe[title="Status page of the proxy"]');
  await statusPage.getByText(backend.host).first().waitFor();
  expect(backend.received).toEqual([]);

  await press(page.locator('#requests'), 'Send a GET');
  await page.getByText(/^get-1: 200, after/).waitFor();
  expect(backend.received).toHaveLength(1);
  await page.getByRole('checkbox', { name: 'steady load' }).click();
  await until(() => backend.received.length >= 3, 'the load that was asked for');
  expect(complaints).toEqual([]);
}, 40_000);
