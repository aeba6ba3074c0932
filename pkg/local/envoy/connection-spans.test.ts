import assert from 'node:assert/strict';
import { createConnectionLines, decodeConnectionLine, toConnectionSpan } from './connection-spans.ts';
import type { ConnectionLine, SpanContext } from './connection-spans.ts';

const line: ConnectionLine = {
  kind: 'tcp',
  event: 'TcpConnectionEnd',
  connection: 7,
  time: '2026-01-01T00:00:00.000Z',
  duration_ms: 250,
  direction: 'inbound',
  service: 'shop/db:3306',
  peer: 'spiffe://cluster.local/ns/shop/sa/web',
  verdict: 'allowed',
  mode: 'enforce',
};

const context: SpanContext = {
  account: 'shop/db',
  directory: new Map(),
  settings: { trustDomain: 'cluster.local', egress: 'deny', tracing: { sampling: 0.5 } },
  randomHex: (bytes) => 'ab'.repeat(bytes),
  random: () => 0.4,
};

describe('spans of the TCP connections of Envoy', () => {
  it('reads its lines, and nothing else', () => {
    assert.deepEqual(decodeConnectionLine(JSON.stringify(line)), line);
    for (const text of ['', 'hello', '{"kind":"http"}', '{"kind":"tcp"', '{"kind":"tcp"}']) {
      assert.equal(decodeConnectionLine(text), undefined, text);
    }
  });

  it('says what the Node sidecar would', () => {
    assert.deepEqual(toConnectionSpan(line, context), {
      traceId: 'ab'.repeat(16),
      spanId: 'ab'.repeat(8),
      kind: 'server',
      name: 'db.shop:3306',
      startTime: Date.parse(line.time),
      endTime: Date.parse(line.time) + 250,
      attributes: {
        'server.address': 'db.shop',
        'server.port': 3306,
        'tulle.direction': 'inbound',
        'tulle.service': 'shop/db:3306',
        'tulle.verdict': 'allowed',
        'tulle.source': 'shop/web',
        'tulle.destination': 'shop/db',
        'tulle.mode': 'enforce',
      },
    });
    assert.equal(toConnectionSpan(line, { ...context, random: () => 0.6 }), undefined);
  });

  it('finds the Service that was refused by the address that was dialled', () => {
    const db = {
      key: 'shop/db:3306',
      namespace: 'shop',
      name: 'db',
      port: 3306,
      protocol: 'tcp',
      addresses: ['10.96.0.1'],
      hostnames: [],
    } as const;
    const denied: ConnectionLine = {
      ...line,
      peer: '-',
      direction: 'outbound',
      service: '',
      dialled: '10.96.0.1:3306',
      verdict: 'denied',
      reason: 'SourceNotAllowed',
    };
    const known = { ...context, directory: new Map([[db.key, db]]) };
    assert.equal(toConnectionSpan(denied, known)?.attributes['tulle.service'], 'shop/db:3306');
    assert.equal(toConnectionSpan(denied, known)?.error, 'SourceNotAllowed');
    assert.equal(toConnectionSpan({ ...denied, dialled: '192.0.2.1:3306' }, known), undefined);
  });

  it('records a connection once: when it ends, or while it lives when it lives long', () => {
    const recorded: ConnectionLine[] = [];
    const timers: (() => void)[] = [];
    const lines = createConnectionLines(
      (each) => recorded.push(each),
      (_milliseconds, task) => {
        timers.push(task);
        return () => {
          timers.splice(timers.indexOf(task), 1);
        };
      },
    );
    lines.take({ ...line, event: 'TcpUpstreamConnected' });
    lines.take(line);
    assert.deepEqual(recorded, [line]);
    assert.equal(timers.length, 0);
    lines.take({ ...line, event: 'TcpUpstreamConnected', connection: 8 });
    for (const task of timers) task();
    lines.take({ ...line, connection: 8 });
    assert.deepEqual(
      recorded.map(({ connection }) => connection),
      [7, 8],
    );
    lines.take({ ...line, connection: 9 });
    assert.equal(recorded.length, 3);
  });
});
