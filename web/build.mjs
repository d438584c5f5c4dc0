// Builds the page: node build.mjs DIRECTORY
//
// The same sources give the same bytes: names carry a hash of their content, and nothing of the
// machine or the time goes in.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, '../src/pocketr1/server/web'));

/** Puts a file under a name that changes with its content, and returns its address. */
function hashed(name, content) {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 10);
  const extension = extname(name);
  const file = `${basename(name, extension)}-${hash}${extension}`;
  writeFileSync(join(out, 'assets', file), content);
  return `/assets/${file}`;
}

function fill(text, addresses) {
  return text.replace(/\{\{([\w.]+)\}\}/g, (_, name) => {
    if (!addresses[name]) throw new Error(`nothing is called ${name}`);
    return addresses[name];
  });
}

/** KaTeX names each font in three formats; every browser of today takes woff2. */
const fontsOnce = {
  name: 'woff2 alone',
  setup(it) {
    it.onLoad({ filter: /katex\.css$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\([^)]*\)/g, ''),
      loader: 'css',
    }));
  },
};

const made = await build({
  absWorkingDir: here,
  entryPoints: { app: 'src/app.tsx' },
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2021', 'chrome90', 'safari15', 'firefox100'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  loader: { '.woff2': 'file' },
  assetNames: 'assets/[name]-[hash]',
  entryNames: '[name]',
  outdir: out,
  publicPath: '/',
  charset: 'utf8',
  legalComments: 'none',
  metafile: true,
  write: false,
  // markdown-it needs decoding alone; the whole of it would bring tables for encoding along.
  alias: { entities: 'entities/lib/decode.js' },
  plugins: [fontsOnce],
  logLevel: 'warning',
});
rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, 'assets'), { recursive: true });
const addresses = {};
for (const file of made.outputFiles) {
  const name = relative(out, file.path);
  if (name.startsWith('assets')) writeFileSync(file.path, file.contents);
  else addresses[name] = hashed(name, file.contents);
}
for (const name of ['icon.svg', 'icon.png']) addresses[name] = hashed(name, readFileSync(join(here, 'static', name)));
const manifest = fill(readFileSync(join(here, 'static/manifest.webmanifest'), 'utf8'), addresses);
addresses['manifest.webmanifest'] = hashed('manifest.webmanifest', manifest);
writeFileSync(join(out, 'index.html'), fill(readFileSync(join(here, 'static/index.html'), 'utf8'), addresses));

/** The licences of all that went into the bundle. */
const bundled = new Set();
for (const input of Object.keys(made.metafile.inputs)) {
  const match = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (match) bundled.add(match[1]);
}
const licences = [...bundled].sort().map((name) => {
  const folder = join(here, 'node_modules', name);
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder)
    .sort()
    .find((entry) => /^licen[cs]e(\.|-mit|$)/i.test(entry));
  if (!file) throw new Error(`${name} has no licence file`);
  const text = readFileSync(join(folder, file), 'utf8').replace(/\r\n/g, '\n').replace(/[ \t]+$/gm, '').trim();
  return `${name} ${about.version} (${about.license})\n\n${text}\n`;
});
writeFileSync(
  join(out, 'LICENSES.txt'),
  `Libraries in the built page, and their licences.\n\n${licences.join(`\n${'-'.repeat(78)}\n\n`)}`,
);
const size = readdirSync(join(out, 'assets')).reduce((sum, name) => sum + readFileSync(join(out, 'assets', name)).length, 0);
console.log(`${relative(process.cwd(), out) || out}: ${size} bytes of assets`);
