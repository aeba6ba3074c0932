import assert from 'node:assert/strict';
import { openAuthority } from '../../certs/authority.ts';
import { systemClock } from '../../certs/clock.ts';
import { StoreConflict } from '../../certs/store.ts';
import { createSecretStore } from './secret-store.ts';
import { createWrittenObjects, type WrittenObjects } from './written-objects.fixture.ts';

const path = '/api/v1/namespaces/mesh/secrets/ca';

describe('a store in a Secret', () => {
  let written: WrittenObjects;
  const open = () => createSecretStore({ cluster: written.cluster, namespace: 'mesh', name: 'ca' });
  beforeEach(() => {
    written = createWrittenObjects();
  });

  it('makes the Secret with the first write, and keeps keys apart', async () => {
    const store = open();
    assert.equal(await store.read('a.json'), undefined);
    await store.write('a.json', Buffer.from('one'));
    await store.write('b.json', Buffer.from('two'));

    assert.equal((await open().read('a.json'))?.toString(), 'one');
    assert.deepEqual(await open().list('b'), ['b.json']);
    await store.remove('a.json');
    assert.deepEqual(await open().list(''), ['b.json']);
  });

  it('does not overwrite what another wrote after it was read', async () => {
    const [one, two] = [open(), open()];
    await Promise.all([one.read('a.json'), two.read('a.json')]);
    await one.write('a.json', Buffer.from('one'));

    await assert.rejects(two.write('a.json', Buffer.from('two')), StoreConflict);
    assert.equal((await two.read('a.json'))?.toString(), 'one');
    await two.write('a.json', Buffer.from('three'));
    await assert.rejects(one.write('a.json', Buffer.from('four')), StoreConflict);
  });

  it('passes on what the API server says, and does not take a failure for an absence', async () => {
    written.fault = () => ({ error: new Error('refused') });
    await assert.rejects(open().read('a.json'), /refused/);
  });

  it('refuses names that are no keys', async () => {
    await assert.rejects(open().write('../x', Buffer.from('')), /not a key/);
  });

  it('gives several replicas that start at once one root', async () => {
    const replica = () => openAuthority({ store: open(), clock: systemClock, name: 'cluster.local' });
    const authorities = await Promise.all([replica(), replica(), replica(), replica()]);

    assert.equal(new Set(authorities.map((authority) => authority.bundle())).size, 1);
    assert.equal(written.objects.size, 1);
  });

  it('lets all replicas follow when one changes the root, and puts back a Secret that was deleted', async () => {
    const replica = () => openAuthority({ store: open(), clock: systemClock, name: 'cluster.local' });
    const [one, two] = [await replica(), await replica()];
    let told = 0;
    two.subscribe(() => (told += 1));

    assert.equal(await one.rotate(), 'announced');
    assert.equal(await two.reload(), true);
    assert.equal(two.bundle(), one.bundle());
    assert.equal(told, 1);
    assert.equal(await two.reload(), false);

    // Both take the next step: one of them does, the other learns of it.
    const steps = await Promise.all([one.rotate(), two.rotate()]);
    assert.deepEqual(steps, ['switched', 'switched']);
    assert.equal(two.bundle(), one.bundle());

    written.objects.delete(path);
    await two.reload();
    assert.equal((await replica()).bundle(), one.bundle());
  });
});
