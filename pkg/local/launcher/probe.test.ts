import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { createServer } from 'node:net';
import { describe, it } from 'mocha';
import { runProbe } from './probe.ts';

describe('runProbe', () => {
  it('asks for as long as its pod lives, and keeps nothing of each answer', async () => {
    const end = new AbortController();
    let asked = 0;
    let enough = (): void => undefined;
    const often = new Promise<void>((resolve) => (enough = resolve));
    const app = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end();
      asked += 1;
      if (asked === 5) enough();
    });
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    const address = app.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const probe = {
      handler: { kind: 'tcp' as const, port },
      initialDelayMs: 0,
      periodMs: 1,
      timeoutMs: 1000,
      successThreshold: 1,
      failureThreshold: 3,
      eager: false,
    };
    const changes: boolean[] = [];
    runProbe(probe, { hosts: ['127.0.0.1'], command: () => [] }, end.signal, (ready) => void changes.push(ready));
    await often;
    assert.equal(getEventListeners(end.signal, 'abort').length, 1);
    assert.deepEqual(changes, [true]);
    end.abort();
    await new Promise((resolve) => app.close(resolve));
  });

  it('counts the first failures like all others where a restart follows', async () => {
    const end = new AbortController();
    let asked = 0;
    const app = createServer((socket) => {
      asked += 1;
      socket.resetAndDestroy();
    });
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    const address = app.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const probe = {
      handler: { kind: 'http' as const, port, path: '/', tls: false, headers: {} },
      initialDelayMs: 0,
      periodMs: 1,
      timeoutMs: 1000,
      successThreshold: 1,
      failureThreshold: 3,
      eager: false,
      counted: true,
    };
    const success = await new Promise<boolean>((resolve) =>
      runProbe(probe, { hosts: ['127.0.0.1'], command: () => [] }, end.signal, resolve),
    );
    end.abort();
    assert.deepEqual({ success, asked }, { success: false, asked: 3 });
    await new Promise((resolve) => app.close(resolve));
  });

  it('fails where it can not even be asked', async () => {
    const spec = { program: 'echo', args: ['a\0b'], env: {}, cwd: '/', confined: false };
    const handlers = [
      { kind: 'http' as const, port: 80, path: '/not a path', tls: false, headers: {} },
      { kind: 'http' as const, port: 80, path: '/', tls: false, headers: { 'not a name': '' } },
      { kind: 'tcp' as const, port: 70_000 },
      { kind: 'exec' as const, spec },
    ];
    for (const handler of handlers) {
      const end = new AbortController();
      const probe = {
        handler,
        initialDelayMs: 0,
        periodMs: 1,
        timeoutMs: 1000,
        successThreshold: 1,
        failureThreshold: 1,
        eager: false,
      };
      const runner = { hosts: ['127.0.0.1'], command: () => [spec.program, ...spec.args] };
      const success = await new Promise<boolean>((resolve) => runProbe(probe, runner, end.signal, resolve));
      end.abort();
      assert.equal(success, false);
    }
  });
});
