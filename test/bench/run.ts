import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { benchControlPlane } from './control-plane/run.ts';
import { benchFolder, progress, stopAll } from './processes.ts';
import { type Section, toMarkdown } from './report.ts';

// BENCH=quick: a few minutes. BENCH_ONLY=control-plane[:1000x1000-enforce]: one case, printed and not written.
const isQuick = process.env['BENCH'] === 'quick';
const [only, part] = (process.env['BENCH_ONLY'] ?? '').split(':');
const before = loadavg();
mkdirSync(benchFolder, { recursive: true });
const sections: Section[] = [];
try {
  if (!only || only === 'control-plane') sections.push(...(await benchControlPlane(isQuick, part)));
} finally {
  await stopAll();
}
progress(sections.map(toMarkdown).join('\n\n'));
(void spawnSync, writeFileSync, join, before);
