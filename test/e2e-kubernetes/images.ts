import { build } from 'esbuild';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { jaegerBinary } from '../jaeger/jaeger.ts';
import { readImagePlan } from '../support/dockerfile.ts';
import type { ImageFile, ImageSource } from '../support/kubernetes-images.ts';

const root = join(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const node = 'node:24-bookworm-slim';

/** The peer of the tests: servers of every protocol and a client that does as it is told. */
export const peerImage = 'tulle-e2e/peer:1';
export const jaegerImage = 'jaegertracing/jaeger:2.13.0';

export async function peerSource(): Promise<ImageSource> {
  const folder = join(root, 'build/e2e-kubernetes');
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: [join(import.meta.dirname, 'apps/peer.ts')],
    outfile: join(folder, 'peer.mjs'),
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'warning',
    banner: {
      js: "import { createRequire } from 'node:module'; import { fileURLToPath as toPath } from 'node:url'; const require = createRequire(import.meta.url); const __filename = toPath(import.meta.url); const __dirname = toPath(new URL('.', import.meta.url));",
    },
  });
  return {
    name: peerImage,
    from: node,
    files: { '/app/peer.mjs': { path: join(folder, 'peer.mjs') } },
    entrypoint: ['node', '/app/peer.mjs'],
    user: '1000',
  };
}

interface DockerfileImage {
  readonly name: string;
  readonly dockerfile: string;
  readonly args?: Readonly<Record<string, string>>;
}

/** What is made as its Dockerfile says, under the names that chart, demo and OSM's manifests have. */
const dockerfileImages: readonly DockerfileImage[] = [
  { name: `tulle/controller:${version}`, dockerfile: 'cmd/controller/Dockerfile' },
  { name: `tulle/sidecar:${version}`, dockerfile: 'cmd/pod-sidecar/Dockerfile' },
  { name: 'tulle-demo/bookstore:latest', dockerfile: 'demo/bookstore/Dockerfile' },
  ...['bookbuyer', 'bookthief', 'bookstore', 'bookwarehouse'].map((app) => ({
    name: `openservicemesh/${app}:latest-main`,
    dockerfile: 'demo/bookstore/Dockerfile',
    args: { APP: app },
  })),
  // The demo's database stands in for MySQL.
  { name: 'mysql:5.6', dockerfile: 'demo/bookstore/Dockerfile', args: { APP: 'bookdb' } },
];

export function dockerfileSources(): ImageSource[] {
  return dockerfileImages.map(({ name, dockerfile, args = {} }) => {
    const plan = readImagePlan(readFileSync(join(root, dockerfile), 'utf8'), args);
    const files: Record<string, ImageFile> = {};
    for (const { sources, target, mode } of plan.copies)
      for (const source of sources)
        files[target.endsWith('/') ? join(target, basename(source)) : target] = {
          path: join(root, source),
          ...(mode === undefined ? {} : { mode: parseInt(mode, 8) }),
        };
    return {
      name,
      from: plan.from,
      files,
      ...(plan.entrypoint ? { entrypoint: plan.entrypoint } : {}),
      ...(plan.cmd ? { cmd: plan.cmd } : {}),
      env: Object.entries(plan.env).map(([key, value]) => `${key}=${value}`),
      ...(plan.user ? { user: plan.user } : {}),
      workdir: plan.workdir,
      dockerfile: { path: dockerfile, args },
    };
  });
}

/** A real Jaeger under the name that the chart has, where it can't be pulled. Throws with the reason when it can't be built either. */
export async function jaegerSource(): Promise<ImageSource> {
  return {
    name: jaegerImage,
    from: jaegerImage,
    files: { '/jaeger': { path: await jaegerBinary() } },
    entrypoint: ['/jaeger'],
    env: ['SPAN_STORAGE_TYPE=memory'],
    user: '10001',
    pulled: true,
  };
}

export async function allSources(): Promise<ImageSource[]> {
  return [...dockerfileSources(), await jaegerSource(), await peerSource()];
}
