import assert from 'node:assert/strict';
import type { Flow } from '../../observability/flows.ts';
import type { MeshReport } from '../dashboard.ts';
import { layOut } from './graph-layout.ts';
import { toGraph } from './graph-model.ts';

const mesh: MeshReport = {
  id: 'm',
  mode: 'enforce',
  modeFrom: '',
  trustDomain: 'td',
  isolation: 'isolated',
  inputs: [],
  services: [
    {
      namespace: 's',
      name: 'store',
      ports: [],
      accounts: ['s/v1', 's/v2'],
      ready: 2,
      endpoints: 2,
    },
    {
      namespace: 's',
      name: 'v1',
      ports: [],
      accounts: ['s/v1'],
      ready: 1,
      endpoints: 1,
    },
    {
      namespace: 's',
      name: 'v2',
      ports: [],
      accounts: ['s/v2'],
      ready: 1,
      endpoints: 1,
    },
  ],
  pods: [{ pod: 'b/buyer-0', account: 'b/buyer', ready: true, sidecar: 'node' }],
  problems: [],
  proxies: [],
  splits: [
    {
      split: 's/split',
      root: 's/store',
      since: 0,
      total: 0,
      wanted: [
        { backend: 'v1', weight: 1, share: 0.5 },
        { backend: 'v2', weight: 1, share: 0.5 },
      ],
      observed: [],
    },
  ],
  store: {
    traces: 0,
    spans: 0,
    bytes: 0,
    evictedTraces: 0,
    evictedSpans: 0,
    duplicateSpans: 0,
    lateSpans: 0,
    droppedSpans: 0,
  },
};

function flow(parts: Partial<Flow>): Flow {
  return {
    source: 'b/buyer',
    service: 's/store:80',
    destination: '',
    split: '',
    backend: '',
    protocol: 'http',
    verdict: 'allowed',
    reason: '',
    rule: '',
    requests: 1,
    denied: 0,
    errors: 0,
    p50: 1,
    p99: 1,
    lastSeen: 0,
    example: { traceId: '', method: 'GET', path: '/' },
    ...parts,
  };
}

const edgesOf = (flows: Flow[]): string[] =>
  toGraph(mesh, flows).edges.map(({ id, kind, requests }) => `${id} ${kind} ${requests}`);

describe('the picture', () => {
  it('leads through a split to its backends, with their shares', () => {
    const { edges } = toGraph(mesh, [
      flow({ backend: 'v1', destination: 's/v1', requests: 9 }),
      flow({ backend: 'v2', destination: 's/v2', requests: 1 }),
    ]);

    assert.deepEqual(
      edges.map(({ id, requests, share }) => [id, requests, share]),
      [
        ['s:s/store→w:s/v1|allowed', 9, 0.9],
        ['s:s/store→w:s/v2|allowed', 1, 0.1],
        ['w:b/buyer→s:s/store|allowed', 10, undefined],
      ],
    );
  });

  it('draws what is denied beside what is allowed', () => {
    const edges = edgesOf([flow({ backend: 'v1', requests: 5 }), flow({ verdict: 'denied', requests: 2 })]);

    assert.ok(edges.includes('w:b/buyer→s:s/store|allowed allowed 5'));
    assert.ok(edges.includes('w:b/buyer→s:s/store|denied denied 2'));
  });

  it('leads a denied call, which reached nobody, to the only workload behind the service', () => {
    const edges = edgesOf([flow({ service: 's/v1:80', verdict: 'denied' })]);

    assert.ok(edges.includes('w:b/buyer→w:s/v1|denied denied 1'));
  });

  it('shows workloads and splits before anybody calls', () => {
    const { nodes, edges } = toGraph(mesh, []);

    assert.deepEqual(
      nodes.map(({ id }) => id),
      ['s:s/store', 'w:b/buyer', 'w:s/v1', 'w:s/v2'],
    );
    assert.ok(edges.every(({ kind }) => kind === 'quiet'));
  });

  it('keeps the edges of a longer time, quiet', () => {
    const flows = [flow({ service: 's/v1:80', requests: 3 })];
    const { nodes, edges } = toGraph(mesh, [], flows);

    assert.ok(edges.some(({ id, kind }) => id === 'w:b/buyer→w:s/v1|allowed' && kind === 'quiet'));
    assert.deepEqual(nodes, toGraph(mesh, flows, flows).nodes);
  });

  it('marks errors, and peers without sidecar', () => {
    const { nodes, edges } = toGraph(mesh, [flow({ source: '', service: 's/v1:80', requests: 10, errors: 2 })]);

    assert.equal(edges.find(({ from }) => from === 'outside')?.kind, 'errors');
    assert.ok(nodes.some(({ kind }) => kind === 'outside'));
  });

  for (const direction of ['LR', 'TB'] as const) {
    it(`keeps labels apart from each other and from the nodes (${direction})`, () => {
      const flows = Array.from({ length: 12 }, (_, index) => [
        flow({ source: `c/c${index}`, service: `s/x${index % 4}:80` }),
        flow({
          source: `c/c${index}`,
          service: `s/x${index % 3}:80`,
          verdict: 'denied',
        }),
      ]).flat();
      const model = toGraph(mesh, flows);
      const { nodes, edges } = layOut(model, direction);
      const boxes = [
        ...[...nodes.values()].map(({ x, y, width, height }) => ({
          x,
          y,
          width,
          height,
        })),
        ...[...edges.values()].map(({ label }) => ({
          ...label,
          width: 60,
          height: 20,
        })),
      ];
      for (const [index, a] of boxes.entries()) {
        for (const b of boxes.slice(index + 1)) {
          const apart =
            Math.abs(a.x - b.x) >= (a.width + b.width) / 2 || Math.abs(a.y - b.y) >= (a.height + b.height) / 2;
          assert.ok(apart, `${JSON.stringify(a)} overlaps ${JSON.stringify(b)}`);
        }
      }
      assert.deepEqual(layOut(model, direction), layOut(toGraph(mesh, [...flows].reverse()), direction), 'stable');
    });
  }
});
