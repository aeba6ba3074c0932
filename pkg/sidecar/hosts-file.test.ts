import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DirectoryEntry } from '../policy/proxy-policy.ts';
import { decodeAuthority, createHostIndex } from './host-index.ts';
import { toHosts, writeHosts } from './hosts-file.ts';

const entry = (namespace: string, name: string, more: Partial<DirectoryEntry> = {}): DirectoryEntry => ({
  key: `${namespace}/${name}:80`,
  namespace,
  name,
  port: 80,
  protocol: 'http',
  addresses: ['10.96.0.1'],
  hostnames: [name, `${name}.${namespace}`, `${name}.${namespace}.svc.cluster.local`],
  ...more,
});

const db = entry('shop', 'db', {
  addresses: [],
  pods: [
    { ip: '10.244.0.2', hostnames: ['db-0.db', 'db-0.db.shop'] },
    { ip: '10.244.0.3', hostnames: ['db-1.db', 'db-1.db.shop'] },
  ],
});

describe('names of the mesh', () => {
  it('has bare names in their own namespace only', () => {
    const directory = [entry('shop', 'cart'), entry('other', 'far', { addresses: ['10.96.0.2'] })];
    const text = toHosts(directory, 'shop', { ip: '10.244.0.9', names: ['web-0'] });
    assert.match(text, /^127\.0\.0\.1 localhost\n/);
    assert.match(text, /^10\.96\.0\.1 cart cart\.shop cart\.shop\.svc\.cluster\.local\n/m);
    assert.match(text, /^10\.96\.0\.2 far\.other far\.other\.svc\.cluster\.local\n/m);
    assert.match(text, /^10\.244\.0\.9 web-0\n/m);
  });

  it('leads a headless name to ready pods, and each pod by its own', () => {
    const text = toHosts([db], 'shop', undefined, (_key, ip) => ip === '10.244.0.2');
    assert.match(text, /^10\.244\.0\.2 db-0\.db db-0\.db\.shop db db\.shop db\.shop\.svc\.cluster\.local\n/m);
    assert.match(text, /^10\.244\.0\.3 db-1\.db db-1\.db\.shop\n/m);
  });

  it('lets no name or address write a line of its own', () => {
    const text = toHosts(
      [entry('shop', 'x', { hostnames: ['a\n1.2.3.4 evil', 'b.shop'], addresses: ['10.0.0.1\n6.6.6.6'] })],
      'shop',
    );
    assert.doesNotMatch(text, /evil|6\.6\.6\.6/);
  });

  it('writes in place, so that what lies over it sees the change', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'tulle-h-'));
    const path = join(dir, 'hosts');
    await writeFile(path, 'a longer text than what follows\n');
    const before = await stat(path);
    await writeHosts(path, 'short\n');
    assert.equal(await readFile(path, 'utf8'), 'short\n');
    assert.equal((await stat(path)).ino, before.ino);
    await rm(dir, { recursive: true });
  });

  it('finds services by name, address and pod', () => {
    const index = createHostIndex(new Map([entry('shop', 'cart'), db].map((item) => [item.key, item])), 'shop');
    const key = (host: string, port?: number): unknown => {
      const found = index.find(host, port);
      return found.kind === 'service' ? [found.entry.key, found.podIp] : found.kind;
    };
    assert.deepEqual(key('cart', 80), ['shop/cart:80', undefined]);
    assert.deepEqual(key('Cart.Shop.'), ['shop/cart:80', undefined]);
    assert.deepEqual(key('10.96.0.1', 80), ['shop/cart:80', undefined]);
    assert.deepEqual(key('db-1.db', 80), ['shop/db:80', '10.244.0.3']);
    assert.equal(key('cart', 81), 'port');
    assert.equal(key('example.com', 80), 'outside');
  });

  it('reads authorities', () => {
    assert.deepEqual(decodeAuthority('cart:80'), { host: 'cart', port: 80 });
    assert.deepEqual(decodeAuthority('[::1]:8080'), { host: '::1', port: 8080 });
    assert.deepEqual(decodeAuthority('cart'), { host: 'cart', port: undefined });
    for (const bad of ['', ':80', 'a:0', 'a:99999', 'u@h:1', 'a b', 'a/b'])
      assert.equal(decodeAuthority(bad), undefined, bad);
  });
});
