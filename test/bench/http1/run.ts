// One protocol by itself, as fast as it goes: `BENCH_PROTOCOL=grpc BENCH_SETUPS=sidecar,envoy npx tsx test/bench/http1/run.ts`.
// Setups: sidecar, bare, envoy, envoy-h2, each with -traced (BENCH_SAMPLING) or percent (sidecar-100). BENCH_PROFILE=1
// writes profiles of the Node processes into build/bench.
import { toMarkdown } from '../report.ts';
import { benchHttp, toHttpOptions, toSetup } from './bench-http.ts';
import type { BenchProtocol } from './setup.ts';

const protocol = (process.env['BENCH_PROTOCOL'] ?? 'http1') as BenchProtocol;
const sampling = Number(process.env['BENCH_SAMPLING'] ?? 0.01);
const wanted = (process.env['BENCH_SETUPS'] ?? 'sidecar,envoy,envoy-traced').split(',');
const { effort, ...options } = toHttpOptions(protocol, 'quick');
const sections = await benchHttp({
  ...options,
  saturated: wanted.map((name) => toSetup(name, sampling)),
  atRate: [],
  weighed: [],
  effort: {
    ...effort,
    seconds: Number(process.env['BENCH_SECONDS'] ?? 5),
    rounds: Number(process.env['BENCH_REPETITIONS'] ?? 3),
    connections: Number(process.env['BENCH_CONNECTIONS'] ?? 32),
  },
});
process.stdout.write(`${sections.map((section) => toMarkdown(section)).join('\n\n')}\n`);
