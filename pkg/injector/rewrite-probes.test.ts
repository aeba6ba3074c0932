import assert from 'node:assert/strict';
import type { Container } from './pod.ts';
import { rewriteProbes, toRequestTarget } from './rewrite-probes.ts';
import type { RewrittenProbes } from './rewrite-probes.ts';

function rewrite(...containers: Container[]): RewrittenProbes {
  return rewriteProbes({ containers, initContainers: [], open: new Set([9100]), taken: new Set([15901]) });
}
const portOf = (container: Container | undefined): unknown => container?.readinessProbe?.httpGet?.port;

describe('probes of injected pods', () => {
  it('share a listener where they ask one port in one way, and take no port of the app', () => {
    const { containers, listeners } = rewrite({
      name: 'web',
      readinessProbe: { httpGet: { path: '/ready', port: 80 } },
      livenessProbe: { httpGet: { path: '/alive', port: 80 } },
      startupProbe: { httpGet: { path: '/ready', port: 80 } },
    });
    assert.equal(portOf(containers[0]), 15902);
    assert.deepEqual(listeners, [
      { kind: 'http', port: 15902, appPort: 80, tls: false, targets: ['/alive', '/ready'] },
    ]);
  });

  it('find named ports in their own container, and numbers written as text', () => {
    const { listeners } = rewrite(
      { name: 'a', ports: [{ name: 'http', containerPort: 80 }], readinessProbe: { httpGet: { port: 'http' } } },
      { name: 'b', ports: [{ name: 'http', containerPort: 81 }], readinessProbe: { httpGet: { port: 'http' } } },
      { name: 'c', readinessProbe: { httpGet: { port: '82' } } },
    );
    assert.deepEqual(
      listeners.map((one) => ('appPort' in one ? one.appPort : undefined)),
      [80, 81, 82],
    );
  });

  it('stay as they are, with a warning, where the port is nobody’s', () => {
    const probe = { httpGet: { port: 'http' } };
    const { containers, listeners, warnings } = rewrite({ name: 'web', readinessProbe: probe });
    assert.deepEqual([containers[0]?.readinessProbe, listeners], [probe, []]);
    assert.match(warnings[0] ?? '', /container web: readinessProbe asks port "http"/);
  });

  it('stay as they are where another host, an excluded port or a command is asked', () => {
    const container: Container = {
      name: 'web',
      readinessProbe: { httpGet: { port: 80, host: 'example.com' } },
      livenessProbe: { tcpSocket: { port: 9100 } },
      startupProbe: { exec: { command: ['true'] } },
      lifecycle: { postStart: { exec: { command: ['true'] } }, preStop: { tcpSocket: { port: 80 } } },
    };
    const { containers, listeners } = rewrite(container);
    assert.deepEqual([containers, listeners], [[container], []]);
  });

  it('keep all else that they say', () => {
    const { containers } = rewrite({
      name: 'web',
      readinessProbe: {
        httpGet: { path: '/x', port: 80, scheme: 'HTTPS', httpHeaders: [{ name: 'a', value: 'b' }] },
        periodSeconds: 7,
        failureThreshold: 3,
      },
    });
    assert.deepEqual(containers[0]?.readinessProbe, {
      httpGet: { path: '/x', port: 15902, scheme: 'HTTP', httpHeaders: [{ name: 'a', value: 'b' }] },
      periodSeconds: 7,
      failureThreshold: 3,
    });
  });

  it('of TCP ask for an answer, and share one listener that dials as often as the most eager asks', () => {
    const { containers, listeners } = rewrite(
      { name: 'a', readinessProbe: { tcpSocket: { port: 1 }, periodSeconds: 2, timeoutSeconds: 5 } },
      {
        name: 'b',
        livenessProbe: { tcpSocket: { port: 1 }, periodSeconds: 60 },
        startupProbe: { tcpSocket: { port: 2 } },
      },
    );
    assert.deepEqual(containers[0]?.readinessProbe, {
      httpGet: { path: '/tcp/1', port: 15902, scheme: 'HTTP' },
      periodSeconds: 2,
      timeoutSeconds: 5,
    });
    assert.deepEqual(listeners, [
      {
        kind: 'tcp',
        port: 15902,
        checks: [
          { appPort: 1, intervalSeconds: 2, timeoutSeconds: 5 },
          { appPort: 2, intervalSeconds: 10, timeoutSeconds: 1 },
        ],
      },
    ]);
  });

  it('of init containers are left alone, but for those that go on running', () => {
    const probe = { grpc: { port: 5 } };
    const { initContainers } = rewriteProbes({
      containers: [],
      initContainers: [
        { name: 'once', readinessProbe: probe },
        { name: 'always', restartPolicy: 'Always', readinessProbe: probe },
      ],
      open: new Set(),
      taken: new Set(),
    });
    assert.deepEqual(
      initContainers.map(({ readinessProbe }) => readinessProbe?.grpc?.port),
      [5, 15901],
    );
  });

  for (const [path, target] of [
    [undefined, '/'],
    ['/', '/'],
    ['health', '/health'],
    ['/a?b=c&d=%20', '/a?b=c&d=%20'],
    ['/a b/ü', '/a%20b/%C3%BC'],
    ['/a#fragment', '/a'],
  ] as const)
    it(`ask for ${target} where they say ${path ?? 'nothing'}`, () => assert.equal(toRequestTarget(path), target));
});
