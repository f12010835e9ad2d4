// @ts-check
/** Programs that may be installed, or not. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps servers where not everybody's PATH leads. */
const FOLDERS = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];

/**
 * @param {string} name
 * @returns {string | undefined} its path
 */
export function findProgram(name) {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * @param {string} program
 * @param {string[]} args
 * @returns {string} its version, by what it prints
 */
export function versionOf(program, args) {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return `${stdout}${stderr}`.match(/\d+(\.\d+)+/)?.[0] ?? 'of unknown version';
}
