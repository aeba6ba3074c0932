import assert from 'node:assert/strict';
import { createLogger } from '../../observability/logger.ts';
import { ClusterError } from '../../provider/kubernetes/cluster-error.ts';
import { readClusterFacts } from './cluster-facts.ts';

describe('what injection must know of a cluster', () => {
  let slept: number;
  let lines: Record<string, unknown>[];
  const end = { current: new AbortController() };
  beforeEach(() => {
    slept = 0;
    lines = [];
    end.current = new AbortController();
  });

  const read = (answer: (path: string) => unknown): ReturnType<typeof readClusterFacts> => {
    const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
    return readClusterFacts({
      cluster: {
        request: <T>(_method: string, path: string): Promise<T> => new Promise((resolve) => resolve(answer(path) as T)),
      },
      kubernetes: { namespace: 'tulle-system', service: 'tulle-controller' },
      version: '1.0.0',
      log: createLogger({ level: 'info', component: 'test', write }),
      signal: end.current.signal,
      sleep: (milliseconds) => {
        slept += milliseconds;
        return new Promise((resolve) => setImmediate(resolve));
      },
    });
  };
  const service = { spec: { clusterIP: '10.96.0.9' } };

  it('is its version and the address of the control plane', async () => {
    const facts = await read((path) => (path === '/version' ? { minor: '28+' } : service));
    assert.deepEqual(facts, { version: '1.0.0', kubernetesMinor: 28, serviceIp: '10.96.0.9' });
  });

  it('is asked until it is answered', async () => {
    let tries = 0;
    const facts = await read((path) => {
      if (path !== '/version') return service;
      tries += 1;
      if (tries < 8) throw new ClusterError(503, 'ServiceUnavailable', 'etcd is away');
      return { minor: '28' };
    });
    assert.equal(facts.kubernetesMinor, 28);
    assert.ok(slept > 5_000 && slept < 30_000, `${slept} ms`);
    assert.ok(lines.length >= 1 && lines.length <= 4, 'it is told now and then');
  });

  it('is left out when it does not exist', async () => {
    const facts = await read((path) => {
      if (path === '/version') return { minor: '34' };
      throw new ClusterError(404, 'NotFound', 'no such service');
    });
    assert.deepEqual(facts, { version: '1.0.0', kubernetesMinor: 34 });
    assert.equal(slept, 0);
  });

  it('is waited for no longer than the control plane runs', async () => {
    setImmediate(() => end.current.abort());
    await read(() => {
      throw new ClusterError(500, 'InternalError', 'no');
    });
  });
});
