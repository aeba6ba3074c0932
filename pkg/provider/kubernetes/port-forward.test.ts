import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FakeCluster, failure, startFakeCluster } from '../../cli/fake-cluster.fixture.ts';
import type { ClusterError } from './cluster-error.ts';
import { createPortForwarder, type PortForwarder } from './port-forward.ts';

describe('createPortForwarder', function () {
  this.timeout(30_000);
  const large = 'x'.repeat(300_000);
  let folder = '';
  let cluster: FakeCluster;
  let app: Server;
  let forwarder: PortForwarder;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 't-'));
    cluster = await startFakeCluster();
    app = createServer((asked, response) =>
      response.end(asked.url === '/large' ? large : `${asked.method} ${asked.url}`),
    );
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    cluster.forwards.set('shop/cart:8080', (app.address() as AddressInfo).port);
    const kubeconfig = join(folder, 'config');
    writeFileSync(kubeconfig, cluster.kubeconfig());
    forwarder = await createPortForwarder({ kubeconfig });
  });
  after(async () => {
    app.close();
    await cluster.close();
    rmSync(folder, { recursive: true });
  });

  async function ask(port: number, path: string): Promise<string> {
    const connection = await forwarder.connect({ namespace: 'shop', pod: 'cart', port });
    return new Promise((resolve, reject) => {
      const call = request({ path, createConnection: () => connection }, (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => (body += text));
        answer.on('end', () => resolve(body));
      });
      call.on('error', reject);
      call.end();
    });
  }

  it('carries a request to the port of a pod and its answer back', async () => {
    assert.equal(await ask(8080, '/books'), 'GET /books');
  });

  it('carries an answer that takes many frames', async () => {
    assert.equal(await ask(8080, '/large'), large);
  });

  it('says what the kubelet says when nothing listens there', async () => {
    await assert.rejects(ask(9999, '/'), ({ name, message }: ClusterError) => {
      assert.match(message, /^port 9999 of pod shop\/cart: .*connection refused/);
      return name === 'ClusterError';
    });
  });

  it('tells a refusal of the API server by its status', async () => {
    cluster.intercept = () => failure(403, 'Forbidden', 'no');
    try {
      await assert.rejects(ask(8080, '/'), ({ status, reason }: ClusterError) => {
        assert.deepEqual([status, reason], [403, 'Forbidden']);
        return true;
      });
    } finally {
      cluster.intercept = undefined;
    }
  });
});
