import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

/** Bundles the page into a folder: index.html, main.js, main.css. */
export async function buildPage(outdir) {
  const page = join(import.meta.dirname, 'page');
  await mkdir(outdir, { recursive: true });
  await Promise.all([
    build({
      bundle: true,
      minify: true,
      platform: 'browser',
      target: 'es2022',
      format: 'esm',
      jsx: 'automatic',
      jsxImportSource: 'preact',
      legalComments: 'none',
      logLevel: 'warning',
      entryPoints: [join(page, 'main.tsx')],
      outdir,
    }),
    copyFile(join(page, 'index.html'), join(outdir, 'index.html')),
  ]);
}
