import { readFileSync } from 'node:fs';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
}

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
};

const FILES = [
  'index.html',
  'style.css',
  'tables.css',
  'narrow.css',
  'main.js',
  'backends.js',
  'exchanges.js',
  'incidents.js',
  'verdict.js',
  'words.js',
  'charts.js',
  'dom.js',
];

/** What the page is made of, by the path below its mount; read once. */
export const ASSETS: ReadonlyMap<string, Asset> = new Map(
  FILES.map((file) => {
    const body = readFileSync(new URL(`./page/${file}`, import.meta.url));
    const type = TYPES[file.slice(file.lastIndexOf('.') + 1)]!;
    return [file === 'index.html' ? '/' : `/${file}`, { type, body }];
  }),
);

/** Of every answer: it is shown, and only here. They take the place of what helmet() has set. */
export const HEADERS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'SAMEORIGIN',
};
