// @ts-check
/** What a process has used, read from Linux's /proc. */
import { existsSync, readFileSync } from 'node:fs';
import { KIB } from './units.js';

/** The unit of the times in /proc, on every Linux that Node runs on. */
const TICK_US = 10_000;

/** @typedef {{ cpuUs: number, peakRss: number }} Usage user and system time so far; bytes */

export const hasProc = existsSync('/proc/self/stat');

/**
 * @param {number | 'self'} pid
 * @returns {Usage}
 */
export function usageOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // after the program's name, which may hold blanks: field 3, and on to utime (14) and stime (15)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { cpuUs: (Number(fields[11]) + Number(fields[12])) * TICK_US, peakRss: peakRssOf(pid) };
}

/**
 * Not `maxRSS` of getrusage, which begins with what the parent had when it forked.
 * @param {number | 'self'} pid
 */
function peakRssOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(status.match(/^VmHWM:\s+(\d+) kB$/m)?.[1]) * KIB;
}

/** @returns {Usage} what this process has used, to the microsecond */
export function ownUsage() {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return {
    cpuUs: userCPUTime + systemCPUTime,
    peakRss: hasProc ? peakRssOf('self') : maxRSS * KIB,
  };
}
