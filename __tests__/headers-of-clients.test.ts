// Who the client is, as the backend is told: by itself. On the wire it is in headers-forwarded.test.ts.
import { describe, expect, it } from '@jest/globals';
import type { Request } from 'express';
import { type HeaderMap, setForwarded } from '../src/headers.js';
import { request } from './support/read-request.js';

describe('who the client is', () => {
  interface Setting {
    trusted?: boolean;
    encrypted?: boolean;
    baseUrl?: string;
    peer?: string | undefined;
  }

  function told(lines: string[], setting: Setting = {}): HeaderMap {
    const { trusted = false, baseUrl = '', encrypted, peer } = { peer: '10.1.1.1', ...setting };
    const socket = { remoteAddress: peer, ...(encrypted !== undefined && { encrypted }) };
    const asked: unknown[] = [];
    const app = {
      get: (name: string) => (address: string, hop: number) => {
        asked.push([name, address, hop]);
        return trusted;
      },
    };
    const { headers, rawHeaders } = request(lines);
    const out: HeaderMap = { ...headers } as HeaderMap;
    setForwarded(out, { headers, rawHeaders, socket, app, baseUrl } as unknown as Request);
    expect(asked).toEqual([['trust proxy fn', peer ?? '', 0]]);
    return out;
  }

  const CLAIMS = [
    'Host: h',
    'Forwarded: for=9',
    'X-Real-IP: 9',
    'X-Forwarded-For: 9',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: claimed',
    'X-Forwarded-Port: 9',
    'X-Forwarded-Prefix: /claimed',
  ];

  it('is what the proxy sees, where its peer is not trusted', () => {
    expect(told(CLAIMS)).toEqual({
      host: 'h',
      'x-forwarded-for': '10.1.1.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'h',
    });
  });

  it('is what a trusted peer claims, and that peer behind it', () => {
    expect(told(CLAIMS, { trusted: true, baseUrl: '/api' })).toEqual({
      host: 'h',
      forwarded: 'for=9',
      'x-real-ip': '9',
      'x-forwarded-for': '9, 10.1.1.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'claimed',
      'x-forwarded-port': '9',
      'x-forwarded-prefix': '/claimed/api',
    });
  });

  it('is what the proxy sees, where a trusted peer claims nothing', () => {
    expect(told(['Host: h'], { trusted: true, baseUrl: '/api', encrypted: true })).toEqual({
      host: 'h',
      'x-forwarded-for': '10.1.1.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'h',
      'x-forwarded-prefix': '/api',
    });
  });

  it('is not told where it is not known', () => {
    expect(
      told(['X-Forwarded-Host: claimed', 'X-Forwarded-Prefix: /x'], { encrypted: false }),
    ).toStrictEqual({
      'x-forwarded-for': '10.1.1.1',
      'x-forwarded-proto': 'http',
    });
  });

  it('is nobody where its connection is gone already', () => {
    expect(told(['Host: h'], { peer: undefined })).not.toHaveProperty(['x-forwarded-for']);
  });
});
