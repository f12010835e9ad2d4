// Chromium, driven by playwright-core. It is closed after the test, and whatever a page complains
// about (an error on its console, a violation of its policy) is kept.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { closeAfterTest } from '../../support/cleanup.js';

const FLAGS = [
  '--no-sandbox', // it runs as root and in a container as well
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--no-proxy-server',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A page, and its complaints. */
export interface WatchedPage {
  page: Page;
  complaints: string[];
}

/** Opens a page in a browser of its own. */
export async function openPage(
  url: string,
  context: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  closeAfterTest(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...context });
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() !== 'log') complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => {
    complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
  });
  await page.addInitScript(`document.addEventListener('securitypolicyviolation', (event) => {
    console.error('policy:', event.violatedDirective, event.blockedURI);
  })`);
  await page.goto(url);
  return { page, complaints };
}

/** Where the pictures for the documents go, when they are asked for: `SCREENSHOTS=docs/images`. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  const taken = PNG.sync.read(await page.screenshot());
  // Without PNG's filters, made for photographs, a picture of text is a quarter smaller.
  const small = PNG.sync.write(taken, {
    colorType: 2,
    filterType: 0,
    deflateLevel: 9,
    deflateStrategy: 0,
  });
  await writeFile(join(folder, `${name}.png`), small);
}
