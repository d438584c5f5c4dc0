// Runs the tests of the logic: bundles each test/*.test.ts, so that Node 18 can run it too.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(join(here, 'node_modules', '.tests-'));
let status = 1;
try {
  const tests = readdirSync(join(here, 'test')).filter((name) => name.endsWith('.test.ts'));
  await build({
    absWorkingDir: here,
    entryPoints: tests.map((name) => join('test', name)),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node18',
    outdir: out,
    outExtension: { '.js': '.mjs' },
    external: ['jsdom'],
    // What is bundled for a browser is what is tested.
    mainFields: ['module', 'main'],
    conditions: ['browser', 'import'],
    logLevel: 'warning',
  });
  const built = tests.map((name) => join(out, name.replace(/\.ts$/, '.mjs')));
  status = spawnSync(process.execPath, ['--test', ...built], { stdio: 'inherit' }).status ?? 1;
} finally {
  rmSync(out, { recursive: true, force: true });
}
process.exit(status);
