import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EndpointSlice } from '../../catalog/snapshot.ts';
import { toApiServer } from '../run-controller.ts';
import { readOwnToken } from './own-token.ts';
import { toReplicas } from './replicas.ts';
import { toUnread } from './unread.ts';

const base = { namespace: 'tulle-system', name: 'x', service: 'tulle-controller' };
const ports = [
  { name: 'xds', port: 15128 },
  { name: 'otlp', port: 15129 },
];
const endpoint = (pod: string, address: string, ready = true): EndpointSlice['endpoints'][number] => ({
  addresses: [address],
  ready,
  pod,
});

describe('the other replicas', () => {
  it('are the ready pods of the Service, each once, without this one', () => {
    const four = [endpoint('one', '10.0.0.1'), endpoint('two', '10.0.0.2'), endpoint('new', '10.0.0.3', false)];
    const six = [endpoint('one', 'fd00::1'), endpoint('two', 'fd00::2')];
    const foreign = { ...base, ports: [{ name: 'http', port: 80 }], endpoints: [endpoint('x', '10.0.0.9')] };
    const nobody = { ...base, ports, endpoints: [{ addresses: ['10.0.0.8'], ready: true }] };
    const slices = [{ ...base, ports, endpoints: four }, { ...base, ports, endpoints: six }, foreign, nobody];
    assert.deepEqual(
      toReplicas(
        slices.map((value) => ({ value })),
        'one',
      ),
      [{ name: 'two', address: '10.0.0.2', port: 15129 }],
    );
  });

  it('are shown a token that says which pod this one is', async () => {
    const folder = await mkdtemp('/tmp/tulle-token-');
    const file = join(folder, 'token');
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { namespace: 'tulle-system', serviceaccount: { name: 'tulle-controller', uid: 'u' } };
    const write = async (claim: object): Promise<string> => {
      const text = `${encode({ alg: 'none' })}.${encode({ 'kubernetes.io': claim })}.x`;
      await writeFile(file, `${text}\n`);
      return text;
    };
    const token = await write({ ...claims, pod: { name: 'one', uid: 'p' } });
    const serviceAccount = { namespace: 'tulle-system', name: 'tulle-controller', uid: 'u' };
    assert.deepEqual(await readOwnToken(file), { token, serviceAccount, pod: 'one' });
    await write(claims);
    await assert.rejects(readOwnToken(file), /no token of a ServiceAccount that is bound to a pod/);
    await rm(folder, { recursive: true });
    await assert.rejects(readOwnToken(file), /ENOENT/);
  });
});

describe('a controller in a pod', () => {
  it('finds the API server without DNS', () => {
    assert.equal(toApiServer('10.96.0.1', '443'), 'https://10.96.0.1:443');
    assert.equal(toApiServer('fd00::1', '443'), 'https://[fd00::1]:443');
    assert.equal(toApiServer(undefined, undefined), undefined);
    assert.equal(toApiServer('', '443'), undefined);
  });

  it('says what of the cluster it has not read yet, and why', () => {
    assert.equal(toUnread([]), 'the cluster has not been read yet');
    const watches = [
      { resource: 'pods', synced: false, error: { reason: 'Forbidden' } },
      { resource: 'services', synced: true },
      { resource: 'namespaces', synced: false },
    ] as Parameters<typeof toUnread>[0];
    assert.equal(toUnread(watches), 'the cluster has not been read yet: pods (Forbidden), namespaces');
  });
});
