// Bundles everything that is installed or put in an image into dist/: each program with a bundle of its own,
// the command line split so that a command loads only what it needs, and the demo and the page beside them.
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { buildPage } from '../pkg/dashboard/build-page.mjs';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const at = (...path) => join(root, ...path);
const { version } = JSON.parse(await readFile(at('package.json'), 'utf8'));

// CommonJS packages inside an ESM bundle still ask for `require`, `__filename` and `__dirname`.
const shims = [
  "import { createRequire as tulleRequire } from 'node:module';",
  "import { fileURLToPath as tullePath } from 'node:url';",
  'const require = tulleRequire(import.meta.url);',
  'const __filename = tullePath(import.meta.url);',
  "const __dirname = tullePath(new URL('.', import.meta.url));",
].join('');

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'esm',
  sourcemap: 'linked',
  sourcesContent: false,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  banner: { js: shims },
  define: {
    TULLE_VERSION: JSON.stringify(version),
    // What a release is built from, for `/version`; not asked of git, so that the same source makes the same bytes.
    TULLE_COMMIT: JSON.stringify(process.env.TULLE_COMMIT ?? ''),
    TULLE_BUILT: JSON.stringify(process.env.TULLE_BUILT ?? ''),
  },
};

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
// Descriptors of the protocols, which the controller loads when the first Envoy connects.
await copyFile(at('build', 'protos.json'), join(dist, 'protos.json'));

const programs = ['tulle', 'controller', 'sidecar', 'envoy-sidecar', 'launcher', 'check-server'];
await Promise.all([
  build({
    ...common,
    entryPoints: programs.map((name) => ({ in: at('cmd', name, 'main.ts'), out: name })),
    outdir: dist,
    splitting: true,
    chunkNames: 'chunks/[name]-[hash]',
  }),
  buildDemo(),
  buildPage(join(dist, 'page')),
]);
const command = join(dist, 'tulle.js');
await writeFile(command, `#!/usr/bin/env node\n${await readFile(command, 'utf8')}`);
await chmod(command, 0o755);

async function buildDemo() {
  const from = at('demo', 'bookstore');
  const to = join(dist, 'demo', 'bookstore');
  const apps = ['bookbuyer', 'bookthief', 'bookstore', 'bookwarehouse', 'bookdb', 'probe'];
  await build({
    ...common,
    banner: {},
    minifySyntax: false,
    minifyWhitespace: false,
    sourcemap: false,
    entryPoints: apps.map((name) => join(from, 'apps', `${name}.ts`)),
    outdir: join(to, 'apps'),
    outExtension: { '.js': '.mjs' },
  });
  for (const file of await readdir(join(from, 'mesh'))) await copyFile(join(from, 'mesh', file), join(to, file));
}
