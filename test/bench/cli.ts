// How long the command line takes to start, and `tulle analyze` for 1,000 documents: `npx tsx test/bench/cli.ts`, after `make build`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';

const command = join(import.meta.dirname, '../../dist/tulle.js');
const documents = 1_000;
const rounds = 7;

/** The median, in milliseconds. */
function measure(args: readonly string[]): number {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, [command, ...args], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`tulle ${args.join(' ')}: ${status} ${stderr}`);
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)] as number;
}

/** A service, a workload, a group and a target each, so many that all documents are `documents`. */
function writeMesh(file: string): void {
  const parts: string[] = [];
  for (let i = 0; i < documents / 4; i++) {
    parts.push(
      `apiVersion: v1\nkind: Service\nmetadata: {name: s${i}, namespace: n${i % 25}}\nspec:\n  selector: {app: s${i}}\n  ports: [{name: http, port: 80, targetPort: 8080}]`,
      `apiVersion: v1\nkind: Pod\nmetadata: {name: p${i}, namespace: n${i % 25}, labels: {app: s${i}}}\nspec:\n  serviceAccountName: s${i}\n  containers: [{name: app, image: x, ports: [{containerPort: 8080}]}]`,
      `apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: g${i}, namespace: n${i % 25}}\nspec:\n  matches:\n  - {name: read, pathRegex: "/books/[0-9]+", methods: [GET]}\n  - {name: write, pathRegex: /books, methods: [POST], headers: [{x-tier: "gold|silver"}]}`,
      `apiVersion: access.smi-spec.io/v1alpha4\nkind: TrafficTarget\nmetadata: {name: t${i}, namespace: n${i % 25}}\nspec:\n  destination: {kind: ServiceAccount, name: s${i}}\n  rules: [{kind: HTTPRouteGroup, name: g${i}}]\n  sources: [{kind: ServiceAccount, name: s${(i + 25) % (documents / 4)}}]`,
    );
  }
  writeFileSync(file, parts.join('\n---\n'));
}

const folder = mkdtempSync(join(tmpdir(), 'tulle-bench-'));
try {
  const file = join(folder, 'mesh.yaml');
  writeMesh(file);
  const one = join(folder, 'one.yaml');
  writeFileSync(one, 'apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n');
  const start = measure(['--version']);
  const small = measure(['analyze', one]);
  const large = measure(['analyze', file]);
  const lines = [
    `start (tulle --version)                ${start.toFixed(0)} ms   promise: < 250 ms`,
    `tulle analyze, 1 document              ${small.toFixed(0)} ms`,
    `tulle analyze, ${documents} documents          ${large.toFixed(0)} ms`,
    `  of that after start                  ${(large - start).toFixed(0)} ms   promise: < 1000 ms`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
