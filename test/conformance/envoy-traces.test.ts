import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { MeshModel } from '../../pkg/catalog/mesh-model.ts';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import type { Span } from '../../pkg/observability/span.ts';
import { decodeTrace, toHopTrace } from '../../pkg/sidecar/trace-context.ts';
import { until } from '../support/envoy.ts';
import { scenarioConfig } from '../support/scenario.ts';
import { pod, service, snapshotOf, target } from '../support/snapshot.ts';
import { startEnvoyMesh } from './envoy-mesh.ts';
import type { EnvoyMesh, LoadedMesh } from './envoy-mesh.ts';

function modelOf(sampling: number): MeshModel {
  const open = { kind: 'TCPRoute', name: 'any' };
  const { value } = buildMesh(
    snapshotOf({
      config: { ...scenarioConfig, mode: 'permissive', tracing: { sampling } },
      services: [service('shop', 'cart', { clusterIPs: ['10.96.0.1'] })],
      pods: [pod('shop', 'cart', { ip: '10.0.0.1' })],
      smi: [target('shop', 'to-cart', { to: 'cart', from: ['web'], rules: [open] })],
    }),
  );
  return value;
}

const trace = 'a1b2c3d4e5f60718293a4b5c6d7e8f90';
const short = trace.slice(16);
const span = '00f067aa0ba902b7';
const parent = '1234567890abcdef';
const padded = `${'0'.repeat(16)}${short}`;

interface Case {
  readonly title: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Trace id that it joins; absent: a new one. */
  readonly joins?: string;
  readonly sampled: boolean;
}

const cases: readonly Case[] = [
  { title: 'nothing', headers: {}, sampled: true },
  { title: 'W3C, sampled', headers: { traceparent: `00-${trace}-${span}-01` }, joins: trace, sampled: true },
  { title: 'W3C, not sampled', headers: { traceparent: `00-${trace}-${span}-00` }, joins: trace, sampled: false },
  {
    title: 'B3 of 128 bits, sampled',
    headers: { 'x-b3-traceid': trace, 'x-b3-spanid': span, 'x-b3-sampled': '1', 'x-b3-parentspanid': parent },
    joins: trace,
    sampled: true,
  },
  {
    title: 'B3 of 128 bits, not sampled',
    headers: { 'x-b3-traceid': trace, 'x-b3-spanid': span, 'x-b3-sampled': '0' },
    joins: trace,
    sampled: false,
  },
  {
    title: 'B3 of 128 bits, debug',
    headers: { 'x-b3-traceid': trace, 'x-b3-spanid': span, 'x-b3-flags': '1' },
    joins: trace,
    sampled: true,
  },
  {
    title: 'B3 of 64 bits, sampled',
    headers: { 'x-b3-traceid': short, 'x-b3-spanid': span, 'x-b3-sampled': '1' },
    joins: padded,
    sampled: true,
  },
  {
    title: 'the two ids of B3 alone',
    headers: { 'x-b3-traceid': trace, 'x-b3-spanid': span },
    joins: trace,
    sampled: true,
  },
  { title: 'b3 of 128 bits', headers: { b3: `${trace}-${span}-1-${parent}` }, joins: trace, sampled: true },
  { title: 'b3 of 128 bits, debug', headers: { b3: `${trace}-${span}-d` }, joins: trace, sampled: true },
  { title: 'b3 of 128 bits, not sampled', headers: { b3: `${trace}-${span}-0` }, joins: trace, sampled: false },
  { title: 'b3 of 128 bits, ids alone', headers: { b3: `${trace}-${span}` }, joins: trace, sampled: true },
  { title: 'b3 of 64 bits', headers: { b3: `${short}-${span}-1` }, joins: padded, sampled: true },
  {
    title: 'both: W3C wins',
    headers: { traceparent: `00-${trace}-${span}-01`, 'x-b3-traceid': 'f'.repeat(32), 'x-b3-spanid': span },
    joins: trace,
    sampled: true,
  },
  {
    title: 'B3 that is no hex: a new trace',
    headers: { 'x-b3-traceid': 'g'.repeat(32), 'x-b3-spanid': span },
    sampled: true,
  },
];

const heardTrace = /^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])$/;

describe('traces through Envoy', function () {
  this.timeout(60_000);
  let mesh: EnvoyMesh;
  let loaded: LoadedMesh;
  let heard: IncomingHttpHeaders = {};
  const app = createServer((req, res) => {
    heard = req.headers;
    res.end('served');
  });

  before(async () => {
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
    const { port } = app.address() as AddressInfo;
    const cache = join(homedir(), '.cache', 'tulle');
    const { program } = findEnvoy({ path: process.env['PATH'] ?? '', cache, fetch: true });
    mesh = await startEnvoyMesh(program, () => port);
    loaded = await mesh.load(modelOf(1), ['shop/web']);
  });

  after(async () => {
    app.close();
    app.closeAllConnections();
    await mesh?.stop();
  });

  async function call(headers: Readonly<Record<string, string>>): Promise<void> {
    const { host, port } = loaded.client('shop/web').loopback.locate('10.96.0.1', 80);
    await new Promise<void>((resolve, reject) => {
      const req = request({ host, port, headers, agent: false }, (res) => {
        res.resume();
        res.once('end', () => resolve());
      });
      req.once('error', reject);
      req.end();
    });
  }

  for (const { title, headers, joins, sampled } of cases) {
    it(`${title}: ${joins === undefined ? 'begins a trace' : 'joins it'}, and the app gets it as W3C and B3`, async () => {
      await call({ baggage: 'k=v', ...headers });
      const [, traceId = '', spanId = '', flags = ''] = heardTrace.exec(heard.traceparent as string) ?? [];
      if (joins !== undefined) assert.equal(traceId, joins);
      assert.equal(flags, sampled ? '01' : '00');
      assert.equal(heard['x-b3-traceid'], traceId);
      assert.equal(heard['x-b3-spanid'], spanId);
      assert.equal(heard['x-b3-sampled'], sampled ? '1' : '0');
      assert.equal(heard['baggage'], 'k=v');
      assert.deepEqual(
        Object.keys(heard).filter(
          (name) => name === 'b3' || name.startsWith('x-tulle') || name === 'x-b3-parentspanid',
        ),
        [],
      );
      if (!sampled) return;
      await until(() => (mesh.spans.get(traceId)?.length ?? 0) >= 2);
      const spans = mesh.spans.get(traceId) as Span[];
      const client = spans.find(({ kind }) => kind === 'client');
      const server = spans.find(({ kind }) => kind === 'server');
      assert.equal(client?.parentSpanId, joins === undefined ? '' : span);
      assert.equal(server?.parentSpanId, client?.spanId);
      assert.equal(server?.spanId, spanId);
      mesh.spans.delete(traceId);
    });
  }

  for (const sampling of [0, 0.3, 1]) {
    it(`decides as the Node sidecar does where only ids came, with ${sampling * 100} % sampled`, async () => {
      loaded = await mesh.load(modelOf(sampling), ['shop/web']);
      const ids: Readonly<Record<string, string>>[] = [
        { 'x-b3-traceid': trace, 'x-b3-spanid': span },
        { 'x-b3-traceid': short, 'x-b3-spanid': span },
        { 'x-b3-traceid': padded, 'x-b3-spanid': span },
        { b3: `${trace}-${span}` },
        { b3: `${short}-${span}` },
      ];
      for (const headers of ids) {
        const wanted = toHopTrace(
          decodeTrace((name) => (headers[name] === undefined ? [] : [headers[name]])),
          sampling,
          () => span,
        );
        await call(headers);
        const title = JSON.stringify(headers);
        assert.equal(heard['x-b3-sampled'], wanted.sampled ? '1' : '0', title);
        assert.equal(heard['x-b3-traceid'], wanted.b3TraceId ?? wanted.traceId, title);
      }
    });
  }

  it('is whole or absent, also behind an app that passes on the two ids alone', async () => {
    loaded = await mesh.load(modelOf(0.3), ['shop/web']);
    mesh.spans.clear();
    let whole = 0;
    for (let i = 0; i < 60; i++) {
      await call({});
      const first = heard;
      const ids = { 'x-b3-traceid': String(first['x-b3-traceid']), 'x-b3-spanid': String(first['x-b3-spanid']) };
      await call(ids);
      assert.equal(heard['x-b3-sampled'], first['x-b3-sampled']);
      if (first['x-b3-sampled'] === '1') whole += 1;
    }
    assert.ok(whole > 2 && whole < 45, `${whole} of 60 were sampled`);
    await until(() => mesh.spans.size === whole && [...mesh.spans.values()].every((spans) => spans.length === 4));
  });
});
