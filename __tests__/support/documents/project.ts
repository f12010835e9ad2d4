/** The package as users have it, built into a folder of its own, where documents' programs run. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './blocks.js';

export const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');

const run = promisify(execFile);

export class Project {
  readonly folder = mkdtempSync(join(tmpdir(), 'tiny-proxy-documents-'));
  /** The same with Express 4. */
  readonly folder4 = join(this.folder, 'express4');

  async build(): Promise<void> {
    const build = ['-p', 'tsconfig.build.json', '--outDir', join(this.folder, 'dist')];
    await run(process.execPath, [TSC, ...build], { cwd: ROOT });
    const page = 'status-page/page';
    cpSync(join(ROOT, 'src', page), join(this.folder, 'dist', page), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(this.folder, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(this.folder, 'node_modules'));
    this.#buildFor4();
  }

  /** Express 4 under the name of Express: what requires it, the package too, gets that one. */
  #buildFor4(): void {
    const modules = join(this.folder4, 'node_modules');
    mkdirSync(modules, { recursive: true });
    cpSync(join(this.folder, 'dist'), join(this.folder4, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(this.folder4, 'package.json'));
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      const real = name === 'express' ? 'express4' : name;
      symlinkSync(join(ROOT, 'node_modules', real), join(modules, name));
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
