import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFakeClock } from '../../test/support/fake-clock.ts';
import { openAuthority } from './authority.ts';
import { createMemoryStore, openFileStore } from './file-store.ts';
import { openLeafCertificates } from './leaf-certificates.ts';
import { runRootRotation } from './rotation.ts';
import { toLeafNames } from './workload-names.ts';

const minute = 60_000;
const cart = 'spiffe://cluster.local/ns/shop/sa/cart';
const web = 'spiffe://cluster.local/ns/shop/sa/web';

function rootsOf(bundle: string): X509Certificate[] {
  return (bundle.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem));
}

/** Whether a leaf chains to the bundle at a time. */
function isTrusted(bundle: string, { certificate }: { certificate: string }, now: number): boolean {
  const leaf = new X509Certificate(certificate);
  const inTime = Date.parse(leaf.validFrom) <= now && now <= Date.parse(leaf.validTo);
  return inTime && rootsOf(bundle).some((root) => leaf.checkIssued(root) && leaf.verify(root.publicKey));
}

async function setUp(lifetime = minute) {
  const clock = createFakeClock();
  const store = createMemoryStore();
  const authority = await openAuthority({ store, clock, name: 'cluster.local' });
  const open = () =>
    openLeafCertificates({
      authority,
      clock,
      random: () => 0.5,
      lifetime,
      namesOf: toLeafNames,
      store,
      onError: fail,
    });
  return { clock, store, authority, open, leaves: await open() };
}

function fail(error: unknown): void {
  assert.ifError(error);
}

/** Lets what was started by the clock run to its end: everything in memory is a few microtasks. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('openAuthority', () => {
  it('goes on with the same root after a restart, and refuses to replace what it cannot read', async () => {
    const { store, clock, authority } = await setUp();

    const again = await openAuthority({ store, clock, name: 'cluster.local' });
    assert.equal(again.bundle(), authority.bundle());

    await store.write('authority.json', Buffer.from('{}'));
    await assert.rejects(openAuthority({ store, clock, name: 'cluster.local' }), /does not hold/);
  });

  it('trusts two roots while the root changes, at every step what is in use', async () => {
    const { authority, clock } = await setUp();
    const issue = () => authority.issue(toLeafNames(cart), minute);
    const old = issue();

    assert.equal(await authority.rotate(), 'announced');
    const [first, second] = rootsOf(authority.bundle());
    assert.ok(first && second && first.subject !== second.subject);
    assert.ok(isTrusted(authority.bundle(), issue(), clock.now()));
    assert.ok(new X509Certificate(issue().certificate).checkIssued(first));

    assert.equal(await authority.rotate(), 'switched');
    assert.ok(new X509Certificate(issue().certificate).checkIssued(second));
    assert.ok(isTrusted(authority.bundle(), old, clock.now()));

    assert.equal(await authority.rotate(), 'steady');
    assert.equal(rootsOf(authority.bundle()).length, 1);
    assert.ok(!isTrusted(authority.bundle(), old, clock.now()));
    assert.ok(isTrusted(authority.bundle(), issue(), clock.now()));
  });
});

describe('openFileStore', () => {
  it('lets nobody else read, and takes no name that leads elsewhere', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tulle-certs-'));
    const store = await openFileStore(join(directory, 'ca'));
    await store.write('authority.json', Buffer.from('secret'));

    assert.equal((await stat(join(directory, 'ca'))).mode & 0o777, 0o700);
    assert.equal((await stat(join(directory, 'ca', 'authority.json'))).mode & 0o777, 0o600);
    assert.deepEqual(await store.list('auth'), ['authority.json']);
    assert.equal(await store.read('missing'), undefined);
    await assert.rejects(store.read('../x'), /not a name/);
    await rm(directory, { recursive: true });
  });
});

describe('openLeafCertificates', () => {
  it('renews at about 2/3 of the life of a certificate, and tells', async () => {
    const { clock, leaves } = await setUp();
    const renewed: string[] = [];
    leaves.subscribe((owner) => renewed.push(owner));
    const first = leaves.of(cart);
    assert.equal(leaves.of(cart), first);

    clock.advance(minute / 2);
    assert.equal(leaves.of(cart), first);
    clock.advance(minute / 6);
    assert.notEqual(leaves.of(cart), first);
    assert.deepEqual(renewed, [cart]);
    assert.ok(leaves.of(cart).notAfter >= clock.now() + minute - minute / 6);
  });

  it('never gives an expired certificate, even if no timer ran', async () => {
    const { authority, clock } = await setUp();
    const asleep = { now: () => clock.now(), at: () => () => undefined };
    const leaves = await openLeafCertificates({
      authority,
      clock: asleep,
      random: () => 0,
      lifetime: minute,
      namesOf: toLeafNames,
      onError: fail,
    });
    const first = leaves.of(cart);

    clock.advance(3 * minute);

    assert.notEqual(leaves.of(cart), first);
    assert.ok(isTrusted(authority.bundle(), leaves.of(cart), clock.now()));
  });

  it('goes on with the same certificates after a restart, until they are due', async () => {
    const { clock, leaves, open } = await setUp();
    const first = leaves.of(cart);
    await settle();

    assert.deepEqual((await open()).of(cart), first);
    clock.advance(2 * minute);
    assert.notDeepEqual((await open()).of(cart), first);
  });

  it('tries again when issuing fails, and forgets what nobody wants', async () => {
    const { authority, clock } = await setUp();
    let broken = false;
    const errors: unknown[] = [];
    const leaves = await openLeafCertificates({
      authority: {
        ...authority,
        issue: (names, lifetime) => {
          if (broken) throw new Error('no entropy');
          return authority.issue(names, lifetime);
        },
      },
      clock,
      random: () => 0,
      lifetime: minute,
      namesOf: toLeafNames,
      onError: (error) => errors.push(error),
    });
    const first = leaves.of(cart);
    leaves.of(web);
    leaves.retain((owner) => owner === cart);
    broken = true;
    clock.advance(minute * 0.7);
    assert.equal(leaves.of(cart), first);
    assert.ok(errors.length >= 1);

    broken = false;
    clock.advance(minute / 30);
    assert.notEqual(leaves.of(cart), first);
    leaves.close();
    assert.equal(clock.waiting, 0);
  });

  it('refuses owners that are no workload', async () => {
    const { leaves } = await setUp();

    assert.throws(() => leaves.of('spiffe://x/other'), /not the identity/);
  });
});

describe('runRootRotation', () => {
  it('changes the root by itself, every leaf in use being trusted at every moment', async () => {
    const { clock, leaves, authority } = await setUp();
    const end = new AbortController();
    const steps: string[] = [];
    const onStep = (step: string): unknown => steps.push(step);
    runRootRotation({ authority, clock, leafLifetime: minute, signal: end.signal, onStep, onError: fail });
    // What a peer may still present: it keeps a certificate until it is told of the next.
    const inUse = new Map([cart, web].map((owner) => [owner, leaves.of(owner)]));
    leaves.subscribe((owner) => inUse.set(owner, leaves.of(owner)));
    const before = authority.bundle();

    await authority.rotate();
    for (let second = 0; second < 180; second++) {
      clock.advance(1000);
      await settle();
      for (const leaf of inUse.values()) assert.ok(isTrusted(authority.bundle(), leaf, clock.now()), `${second} s`);
    }

    assert.deepEqual(steps, ['switched', 'steady']);
    assert.ok(rootsOf(authority.bundle()).length === 1 && authority.bundle() !== before);
    end.abort();
    leaves.close();
    assert.equal(clock.waiting, 0);
  });

  it('begins when 2/3 of the life of a root have passed', async () => {
    const clock = createFakeClock();
    const rootLifetime = 90 * minute;
    const authority = await openAuthority({ store: createMemoryStore(), clock, name: 'x', rootLifetime });
    const end = new AbortController();
    const steps: string[] = [];
    const onStep = (step: string): unknown => steps.push(step);
    runRootRotation({ authority, clock, leafLifetime: minute, signal: end.signal, onStep, onError: fail });

    clock.advance(58 * minute);
    await settle();
    assert.deepEqual(steps, []);
    clock.advance(3 * minute);
    await settle();
    assert.deepEqual(steps, ['announced']);
    end.abort();
  });
});
