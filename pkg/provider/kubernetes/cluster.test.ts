import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, ClusterError, createCluster, openCluster } from './cluster.ts';

describe('Cluster', () => {
  let directory: string;
  let server: Server;
  let url: string;
  let handle: RequestListener;
  const clusters: Cluster[] = [];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tulle-cluster-'));
    handle = (_, response) => response.end('{}');
    server = createServer((request, response) => handle(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    for (const cluster of clusters.splice(0)) cluster.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true });
  });

  const kept = (cluster: Cluster): Cluster => {
    clusters.push(cluster);
    return cluster;
  };
  const anonymous = (): Cluster =>
    kept(
      createCluster({
        server: url,
        namespace: 'default',
        credentials: () => Promise.resolve({ headers: {} }),
        renew: () => undefined,
      }),
    );

  async function failure(work: Promise<unknown>): Promise<ClusterError> {
    const error: unknown = await work.then(
      () => assert.fail('it did not fail'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ClusterError, String(error));
    return error;
  }

  async function linesOf(lines: AsyncIterable<string>): Promise<string[]> {
    const all: string[] = [];
    for await (const line of lines) all.push(line);
    return all;
  }

  const watch = (cluster: Cluster, more: object = {}): AsyncIterable<string> =>
    cluster.openStream('/watch', { signal: new AbortController().signal, ...more });

  describe('request', () => {
    it('sends method, query and body, and gives the decoded answer', async () => {
      const seen: (string | undefined)[] = [];
      handle = (request, response) => {
        seen.push(request.method, request.url, request.headers['content-type']);
        request.pipe(response);
      };
      const query = { fieldManager: 'tulle', labelSelector: 'a=b,c', force: true, absent: undefined };
      const answer = await anonymous().request('PATCH', '/api/v1/x', {
        query,
        body: { a: 1 },
        contentType: 'application/merge-patch+json',
      });
      assert.deepEqual(answer, { a: 1 });
      assert.deepEqual(seen, [
        'PATCH',
        '/api/v1/x?fieldManager=tulle&labelSelector=a%3Db%2Cc&force=true',
        'application/merge-patch+json',
      ]);
    });

    it('says what was asked of whom when it is refused', async () => {
      handle = (_, response) => {
        response.writeHead(403);
        response.end(JSON.stringify({ kind: 'Status', reason: 'Forbidden', message: 'pods is forbidden', code: 403 }));
      };
      const { status, reason, message } = await failure(anonymous().request('GET', '/api/v1/pods'));
      assert.deepEqual([status, reason, message], [403, 'Forbidden', `GET ${url}/api/v1/pods: pods is forbidden`]);
    });

    it('takes an error that is no Status of Kubernetes for what it is', async () => {
      handle = (_, response) => {
        response.writeHead(502, { 'retry-after': '3' });
        response.end('<html>'.repeat(100_000));
      };
      const error = await failure(anonymous().request('GET', '/x'));
      assert.deepEqual([error.status, error.reason, error.retryAfterSeconds], [502, 'InternalError', 3]);
      assert.ok(error.message.length < 200);
    });

    it('refuses an answer beyond the bound, and one that is no JSON', async () => {
      handle = (_, response) => response.end('x'.repeat(2000));
      assert.equal((await failure(anonymous().request('GET', '/x', { maxBytes: 1999 }))).reason, 'TooLarge');
      assert.equal((await failure(anonymous().request('GET', '/x', { maxBytes: 2000 }))).reason, 'Malformed');
    });

    it('gives up on a server that does not answer, or not to its end', async () => {
      handle = () => undefined;
      assert.equal((await failure(anonymous().request('GET', '/x', { timeoutMs: 20 }))).reason, 'Timeout');
      handle = (_, response) => void response.write('{');
      assert.equal((await failure(anonymous().request('GET', '/x', { timeoutMs: 20 }))).reason, 'Timeout');
    });

    it('gives up when it is told to', async () => {
      const stop = new AbortController();
      handle = () => stop.abort();
      assert.equal((await failure(anonymous().request('GET', '/x', { signal: stop.signal }))).reason, 'Aborted');
      assert.equal((await failure(anonymous().request('GET', '/x', { signal: stop.signal }))).reason, 'Aborted');
    });

    it('says that nobody is there', async () => {
      const cluster = anonymous();
      server.closeAllConnections();
      server.close();
      const error = await failure(cluster.request('GET', '/x'));
      assert.equal(error.reason, 'Unreachable');
      assert.match(error.message, /ECONNREFUSED/);
    });

    it('asks again when a kept connection was closed in the meantime, and only then', async () => {
      const cluster = anonymous();
      let asked = 0;
      handle = (request, response) => {
        asked += 1;
        if (asked === 2) request.socket.resetAndDestroy();
        else response.end('{}');
      };
      await cluster.request('GET', '/x');
      await cluster.request('GET', '/x');
      assert.equal(asked, 3);
      handle = (request) => request.socket.resetAndDestroy();
      assert.equal((await failure(cluster.request('POST', '/x', { body: {} }))).reason, 'Unreachable');
    });
  });

  describe('openStream', () => {
    it('asks once, though the kept connection that answers is reset', async () => {
      const cluster = anonymous();
      const sockets = new Set<unknown>();
      handle = (request, response) => {
        sockets.add(request.socket);
        response.end('{}');
      };
      await cluster.request('GET', '/x');
      await new Promise((resolve) => setImmediate(resolve));
      let asked = 0;
      handle = (request, response) => {
        asked += 1;
        sockets.add(request.socket);
        response.write('one\n', () => setImmediate(() => response.socket?.resetAndDestroy()));
      };
      assert.equal((await failure(linesOf(watch(cluster)))).reason, 'Unreachable');
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(sockets.size, 1, 'the connection was not kept');
      assert.equal(asked, 1);
    });

    it('gives line by line what comes in any pieces', async () => {
      const bytes = Buffer.from('{"a":"ä€"}\n\n{"b":2}\n');
      handle = (_, response) => {
        response.flushHeaders();
        void writeSlowly(
          response,
          [...bytes].map((byte) => Buffer.of(byte)),
        );
      };
      assert.deepEqual(await linesOf(watch(anonymous())), ['{"a":"ä€"}', '{"b":2}']);
    });

    it('fails at an end inside a line, at a reset and at a line beyond the bound', async () => {
      handle = (_, response) => response.end('{"a":1}\n{"b"');
      assert.equal((await failure(linesOf(watch(anonymous())))).reason, 'Truncated');
      handle = (_, response) => response.write('{"a":1}\n{"b"', () => response.socket?.resetAndDestroy());
      assert.equal((await failure(linesOf(watch(anonymous())))).reason, 'Unreachable');
      handle = (_, response) => void response.write('x'.repeat(70_000));
      assert.equal((await failure(linesOf(watch(anonymous(), { maxLineBytes: 1000 })))).reason, 'TooLarge');
    });

    it('waits for the head of the answer only so long, and for lines as long as it takes', async () => {
      handle = () => undefined;
      assert.equal((await failure(linesOf(watch(anonymous(), { timeoutMs: 20 })))).reason, 'Timeout');
      handle = (_, response) => {
        response.flushHeaders();
        setTimeout(() => response.end('late\n'), 60);
      };
      assert.deepEqual(await linesOf(watch(anonymous(), { timeoutMs: 30 })), ['late']);
    });

    it('ends the connection when nobody reads on', async () => {
      const closed = new Promise<void>((resolve) => {
        handle = (_, response) => {
          response.on('close', resolve);
          response.write('one\ntwo\n');
        };
      });
      for await (const line of watch(anonymous())) {
        assert.equal(line, 'one');
        break;
      }
      await closed;
    });
  });

  describe('in a pod', () => {
    async function writeAccount(token: string): Promise<void> {
      await writeFile(join(directory, 'token'), `${token}\n`);
      await writeFile(join(directory, 'ca.crt'), '');
      await writeFile(join(directory, 'namespace'), 'tulle-system');
    }

    it('uses the token of the pod, and the new one when the old is refused', async () => {
      await writeAccount('old');
      const seen: (string | undefined)[] = [];
      handle = (request: IncomingMessage, response: ServerResponse) => {
        seen.push(request.headers.authorization);
        response.writeHead(request.headers.authorization === 'Bearer new' ? 200 : 401);
        response.end('{}');
      };
      const cluster = kept(await openCluster({ inCluster: { server: url, directory } }));
      assert.equal(cluster.namespace, 'tulle-system');
      await writeAccount('new');
      await cluster.request('GET', '/x');
      assert.deepEqual(seen, ['Bearer old', 'Bearer new']);
      await writeAccount('revoked');
      const { status } = await failure(
        (async () => {
          handle = (_, response) => response.writeHead(401).end();
          await cluster.request('GET', '/x');
        })(),
      );
      assert.equal(status, 401);
    });

    it('says that it is in no pod', async () => {
      const error = await failure(openCluster({ inCluster: { server: url, directory: join(directory, 'nowhere') } }));
      assert.equal(error.reason, 'CredentialsUnusable');
      assert.match(error.message, /nowhere.*can't be read/);
    });
  });

  describe('by a kubeconfig', () => {
    async function writeConfig(user: object, more: object = {}): Promise<string> {
      const kubeconfig = join(directory, 'config');
      const config = {
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'here',
        contexts: [{ name: 'here', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
        clusters: [{ name: 'c', cluster: { server: url } }],
        users: [{ name: 'u', user }],
        ...more,
      };
      await writeFile(kubeconfig, JSON.stringify(config));
      return kubeconfig;
    }

    it('speaks as the user of the context', async () => {
      let authorization: string | undefined;
      handle = (request, response) => {
        ({ authorization } = request.headers);
        response.end('{}');
      };
      const cluster = kept(await openCluster({ kubeconfig: await writeConfig({ token: 'mine' }) }));
      assert.deepEqual([cluster.server, cluster.namespace, cluster.context], [url, 'shop', 'here']);
      await cluster.request('GET', '/x');
      assert.equal(authorization, 'Bearer mine');
    });

    it('runs a plugin once for requests at the same time, and says why it failed', async () => {
      const plugin = join(directory, 'plugin.sh');
      const runs = join(directory, 'runs');
      const credential = {
        apiVersion: 'client.authentication.k8s.io/v1',
        kind: 'ExecCredential',
        status: { token: 'made' },
      };
      await writeFile(plugin, `#!/bin/sh\necho x >> ${runs}\necho '${JSON.stringify(credential)}'\n`);
      await chmod(plugin, 0o700);
      const seen: (string | undefined)[] = [];
      handle = (request, response) => {
        seen.push(request.headers.authorization);
        response.end('{}');
      };
      const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' };
      const cluster = kept(await openCluster({ kubeconfig: await writeConfig({ exec }) }));
      await Promise.all([1, 2, 3].map(() => cluster.request('GET', '/x')));
      assert.deepEqual(seen, ['Bearer made', 'Bearer made', 'Bearer made']);

      await writeFile(plugin, '#!/bin/sh\necho "log in first" >&2\nexit 1\n');
      const other = kept(await openCluster({ kubeconfig: await writeConfig({ exec }) }));
      const error = await failure(other.request('GET', '/x'));
      assert.equal(error.reason, 'CredentialsUnusable');
      assert.match(error.message, /log in first/);
    });

    it('names what is wrong with it', async () => {
      const kubeconfig = await writeConfig({});
      assert.match(
        (await failure(openCluster({ kubeconfig, context: 'there' }))).message,
        /no context "there"; it has here/,
      );
      assert.match(
        (await failure(openCluster({ kubeconfig: `${kubeconfig}x` }))).message,
        /configx can't be read: ENOENT/,
      );
      const empty = await writeConfig({}, { clusters: [] });
      assert.match((await failure(openCluster({ kubeconfig: empty }))).message, /names no cluster/);
      await writeFile(kubeconfig, '{{{');
      assert.equal((await failure(openCluster({ kubeconfig }))).reason, 'KubeconfigInvalid');
      await writeFile(kubeconfig, '');
      assert.equal((await failure(openCluster({ kubeconfig }))).reason, 'KubeconfigInvalid');
    });
  });
});

async function writeSlowly(response: ServerResponse, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    response.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.end();
}
