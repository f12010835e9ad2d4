// @ts-check
/** The proxy of these runs, a process of its own. */
import express from 'express';
import { tinyProxy } from 'express-tiny-proxy';
import { serveProxy } from '../../bench/serve-proxy.js';

await serveProxy(express, tinyProxy);
