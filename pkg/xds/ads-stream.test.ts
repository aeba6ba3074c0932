import assert from 'node:assert/strict';
import { defaultAdsLimits } from './ads-limits.ts';
import { openStream, type ReadResponse, type StreamUnderTest } from './ads-stream.fixture.ts';
import { encodeDeltaRequest, encodeSotwRequest } from './discovery.ts';
import { tulleTypes } from './resources.ts';
import { envoyTypes } from './type-traits.ts';

const { outbound, endpoints: sets } = tulleTypes;
const { cluster, endpoints, listener, route } = envoyTypes;
const refusal = { code: 3, message: 'no such cluster' };

const typesOf = (responses: readonly ReadResponse[]): string[] =>
  responses.map(({ typeUrl, resources, removed }) => {
    const name = Object.entries({ cluster, endpoints, listener, route }).find(([, url]) => url === typeUrl)?.[0];
    return [name, ...resources, ...removed.map((gone) => `-${gone}`)].join(' ');
  });

describe('AdsStream, delta', () => {
  it('sends everything to a wildcard, then only what changed', () => {
    const test = openStream('delta');
    test.set(outbound, { a: '1', b: '1' });
    test.delta({ typeUrl: outbound });

    assert.deepEqual(test.take()?.resources, ['a=1', 'b=1']);
    assert.equal(test.next(), undefined);

    test.set(outbound, { b: '2', c: '1' });
    const change = test.take();
    assert.deepEqual([change?.resources, change?.removed], [['b=2', 'c=1'], ['a']]);
    test.set(outbound, { b: '2', c: '1' });
    assert.equal(test.next(), undefined);
  });

  it('answers a wildcard that finds nothing, but nobody of whom nothing is known yet', () => {
    const test = openStream('delta');
    test.delta({ typeUrl: outbound, initialVersions: new Map([['a', 'x']]) });
    assert.equal(test.next(), undefined, 'an empty answer would take away what the client has');

    test.set(outbound, {});
    assert.deepEqual(test.take()?.removed, ['a']);
    const other = openStream('delta');
    other.set(outbound, {});
    other.delta({ typeUrl: outbound });
    assert.deepEqual(other.take()?.resources, []);
    assert.equal(other.next(), undefined);
  });

  it('has one unanswered response per type, and what changes meanwhile is one more', () => {
    const test = openStream('delta');
    test.set(outbound, { a: '1' });
    test.delta({ typeUrl: outbound });
    const first = test.next();
    for (const version of ['2', '3', '4']) {
      test.set(outbound, { a: version });
      assert.equal(test.next(), undefined);
    }

    test.delta({ typeUrl: outbound, nonce: first?.nonce ?? '' });

    assert.deepEqual(test.take()?.resources, ['a=4']);
    assert.equal(test.next(), undefined);
  });

  it('sends a reconnected client only what it does not have', () => {
    const before = openStream('delta');
    before.set(outbound, { a: '1', b: '1', gone: '1' });
    before.delta({ typeUrl: outbound });
    const initialVersions = before.take()?.versions ?? new Map<string, string>();

    const same = openStream('delta');
    same.set(outbound, { a: '1', b: '1', gone: '1' });
    same.delta({ typeUrl: outbound, initialVersions });
    const nothing = same.take();
    assert.deepEqual([nothing?.resources, nothing?.removed], [[], []]);

    const changed = openStream('delta');
    changed.set(outbound, { a: '1', b: '2' });
    changed.delta({ typeUrl: outbound, initialVersions });
    const rest = changed.take();
    assert.deepEqual([rest?.resources, rest?.removed], [['b=2'], ['gone']]);
  });

  it('serves names: those subscribed to, and says which do not exist', () => {
    const test = openStream('delta');
    test.set(endpoints, { a: '1', b: '1', c: '1' });
    test.delta({ typeUrl: endpoints, subscribe: ['a', 'missing'] });
    const first = test.take();
    assert.deepEqual([first?.resources, first?.removed], [['a=1'], ['missing']]);

    test.set(endpoints, { a: '1', b: '2', c: '1' });
    assert.equal(test.next(), undefined, 'b is not subscribed to');
    test.set(endpoints, { a: '1', b: '2', c: '1', missing: '1' });
    assert.deepEqual(test.take()?.resources, ['missing=1']);

    test.delta({ typeUrl: endpoints, subscribe: ['b'], unsubscribe: ['a'] });
    test.set(endpoints, { a: '9', b: '2', c: '1', missing: '1' });
    assert.deepEqual(test.take()?.resources, ['b=2']);
    assert.equal(test.next(), undefined);
    test.delta({ typeUrl: endpoints, subscribe: ['b'] });
    assert.deepEqual(test.take()?.resources, ['b=2'], 'subscribing again asks for it again');
  });

  it('does not send names again that a reconnected client has', () => {
    const test = openStream('delta');
    test.set(endpoints, { a: '1', b: '1' });
    test.delta({ typeUrl: endpoints, subscribe: ['a', 'b'] });
    const initialVersions = test.take()?.versions ?? new Map<string, string>();

    const again = openStream('delta');
    again.set(endpoints, { a: '1', b: '2' });
    again.delta({ typeUrl: endpoints, subscribe: ['a', 'b'], initialVersions });
    assert.deepEqual(again.take()?.resources, ['b=2']);
  });

  it('takes `*` for everything, and takes it back', () => {
    const test = openStream('delta');
    test.set(endpoints, { a: '1', b: '1' });
    test.delta({ typeUrl: endpoints, subscribe: ['*'] });
    assert.deepEqual(test.take()?.resources, ['a=1', 'b=1']);

    test.delta({ typeUrl: endpoints, subscribe: ['a'], unsubscribe: ['*'] });
    test.drain();
    test.set(endpoints, { a: '2', b: '2' });
    assert.deepEqual(test.take()?.resources, ['a=2']);
  });

  it('does not repeat what was refused until it changes, and says so', () => {
    const test = openStream('delta');
    test.set(outbound, { a: 'bad' });
    test.delta({ typeUrl: outbound });
    const nonce = test.next()?.nonce ?? '';

    const event = test.delta({ typeUrl: outbound, nonce, error: refusal });

    assert.deepEqual(event, { kind: 'nack', typeUrl: outbound, message: refusal.message, names: ['a'] });
    assert.equal(test.next(), undefined);
    assert.deepEqual(test.stream.status(), [{ typeUrl: outbound, synced: true, nack: refusal.message }]);
    test.set(outbound, { a: 'good' });
    assert.deepEqual(test.take()?.resources, ['a=good']);
    assert.deepEqual(test.stream.status(), [{ typeUrl: outbound, synced: true }]);
  });

  it('heeds no nonce but the last, and says when an answer is outstanding', () => {
    const test = openStream('delta');
    test.set(outbound, { a: '1' });
    test.delta({ typeUrl: outbound });
    test.take();
    test.set(outbound, { a: '2' });
    test.next();

    for (const nonce of ['1', 'x', 'zz']) {
      if (test.delta({ typeUrl: outbound, nonce, error: refusal }).kind !== 'stale') assert.fail(nonce);
    }
    assert.deepEqual(test.stream.status(), [{ typeUrl: outbound, synced: false, since: 0 }]);
  });

  it('cuts a big answer in pieces, each to be acknowledged', () => {
    const test = openStream('delta');
    const big = 'x'.repeat(1024 * 1024);
    test.set(outbound, { a: big, b: big, c: big });
    test.delta({ typeUrl: outbound });

    const pieces = test.drain();

    assert.ok(pieces.length >= 2);
    assert.deepEqual(
      pieces.flatMap(({ versions }) => [...versions.keys()]),
      ['a', 'b', 'c'],
    );
  });

  it('refuses what is too long, too many or no message', () => {
    const test = openStream('delta', { names: 3, nameLength: 80, nameBytes: 10_000, types: 24 });
    assert.equal(test.delta({ typeUrl: 'x'.repeat(81) }).kind, 'refused', 'the type URL is too long');
    assert.equal(test.delta({ typeUrl: endpoints, subscribe: ['a', 'b'] }).kind, 'subscribed');
    assert.equal(test.delta({ typeUrl: route, subscribe: ['c'] }).kind, 'subscribed');
    assert.equal(test.delta({ typeUrl: route, subscribe: ['d'] }).kind, 'refused');
    assert.equal(test.delta({ typeUrl: route, unsubscribe: ['d', 'c'] }).kind, 'subscribed');
    assert.equal(test.delta({ typeUrl: endpoints, subscribe: ['x'.repeat(81)] }).kind, 'refused');
    assert.throws(() => test.stream.receive(Buffer.from([0xff, 0xff, 0xff])));
  });

  it('holds nothing of what is said of types that nobody serves, gives no answer, and refuses floods of them', () => {
    const test = openStream('delta', { names: 100, nameLength: 80, nameBytes: 100_000, types: 3 });
    const initialVersions = new Map([['a', '1']]);
    assert.equal(test.delta({ typeUrl: 'x/Unknown', subscribe: ['a'], initialVersions }).kind, 'subscribed');
    assert.equal(test.delta({ typeUrl: 'constructor', subscribe: ['a'], initialVersions }).kind, 'subscribed');
    assert.deepEqual([test.stream.held(), test.next(), test.stream.status()], [0, undefined, []]);
    assert.equal(test.delta({ typeUrl: endpoints, subscribe: ['a'] }).kind, 'subscribed');
    assert.equal(test.delta({ typeUrl: 'x/Unknown' }).kind, 'subscribed', 'it may be asked for again');
    assert.equal(test.delta({ typeUrl: 'y/Unknown' }).kind, 'refused');
  });

  it('counts what a client says that it has as it counts subscriptions, until it has been answered', () => {
    const limits = { names: 3, nameLength: 80, nameBytes: 10_000, types: 24 };
    const versionsOf = (...names: string[]) => new Map(names.map((name) => [name, '1']));
    const test = openStream('delta', limits);
    assert.equal(test.delta({ typeUrl: outbound, initialVersions: versionsOf('a', 'b', 'c') }).kind, 'subscribed');
    assert.ok(test.stream.held() > 0);
    assert.equal(test.delta({ typeUrl: sets, initialVersions: versionsOf('d') }).kind, 'refused');

    const answered = openStream('delta', limits);
    answered.set(outbound, {});
    answered.delta({ typeUrl: outbound, initialVersions: versionsOf('a', 'b', 'c') });
    assert.deepEqual(answered.take()?.removed, ['a', 'b', 'c']);
    assert.equal(answered.stream.held(), 0);
    assert.equal(answered.delta({ typeUrl: sets, initialVersions: versionsOf('d') }).kind, 'subscribed');
    answered.stream.close();
    assert.equal(answered.stream.held(), 0);
  });

  it('bounds what all names take that a client has said, those that it takes back while it gives no answer as well', () => {
    const limits = { names: 1_000, nameLength: 80, nameBytes: 20_000, types: 24 };
    const subscribing = openStream('delta', limits);
    const long = (i: number): string => `${i}`.padEnd(80, 'x');
    let taken = 0;
    while (taken < 1_000 && subscribing.delta({ typeUrl: endpoints, subscribe: [long(taken)] }).kind !== 'refused')
      taken += 1;
    assert.ok(taken > 10 && taken < 100, `${taken} of 80 characters`);

    const test = openStream('delta', limits);
    test.set(outbound, { a: '1' });
    test.delta({ typeUrl: outbound });
    test.next();
    taken = 0;
    while (taken < 1_000 && test.delta({ typeUrl: outbound, unsubscribe: [long(taken)] }).kind !== 'refused')
      taken += 1;
    assert.ok(taken > 10 && taken < 100, `${taken} of 80 characters`);
  });

  it('takes back a sidecar that had all of a mesh of 5,000 services, while its last stream is still open', () => {
    const limits = { ...defaultAdsLimits, names: 20_000 };
    const names = Array.from({ length: 5_000 }, (_, i) => `a-namespace-of-mine/a-service-of-it-${i}:8080`);
    const contents = Object.fromEntries(names.map((name) => [name, '1']));
    const initialVersions = new Map(names.map((name) => [name, '0123456789abcdef']));
    const types = [cluster, endpoints, envoyTypes.scopedRoute];

    const connect = (): StreamUnderTest => {
      const test = openStream('delta', limits);
      for (const typeUrl of types) test.set(typeUrl, contents);
      for (const typeUrl of types) {
        const subscribe = typeUrl === endpoints ? names : [];
        assert.equal(test.delta({ typeUrl, subscribe, initialVersions }).kind, 'subscribed', typeUrl);
      }
      return test;
    };
    const before = connect();
    before.drain();
    assert.ok(before.stream.held() + connect().stream.held() <= limits.nameBytes);
  });

  it('reads no request to its end that names too much', () => {
    const limits = { names: 10, nameLength: 80, nameBytes: 500, types: 24 };
    const none = {
      typeUrl: outbound,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map<string, string>(),
      nonce: '',
    };
    const names = Array.from({ length: 11 }, (_, i) => `${i}`);
    const bad = Buffer.from([0xff, 0xff]);
    for (const request of [
      { ...none, subscribe: names },
      { ...none, unsubscribe: names },
      { ...none, subscribe: ['x'.repeat(501)] },
      { ...none, initialVersions: new Map(names.map((name) => [name, '1'])) },
    ]) {
      const event = openStream('delta', limits).stream.receive(Buffer.concat([encodeDeltaRequest(request), bad]));
      assert.deepEqual(event, { kind: 'refused', reason: 'too many resource names' });
    }
    const sotw = encodeSotwRequest({ typeUrl: outbound, version: '', names, nonce: '' });
    assert.equal(openStream('sotw', limits).stream.receive(Buffer.concat([sotw, bad])).kind, 'refused');
  });
});

describe('AdsStream, order', () => {
  function connect(test = openStream('delta')) {
    test.set(cluster, { a: '1' });
    test.set(endpoints, { a: '1' });
    test.set(listener, { l: 'a' });
    test.set(route, { r: 'a' });
    test.delta({ typeUrl: cluster });
    test.delta({ typeUrl: endpoints, subscribe: ['a'] });
    test.delta({ typeUrl: listener });
    test.delta({ typeUrl: route, subscribe: ['r'] });
    return test;
  }

  it('sends clusters, endpoints, listeners, routes, in whatever order they were asked for', () => {
    assert.deepEqual(typesOf(connect().drain()), ['cluster a=1', 'endpoints a=1', 'listener l=a', 'route r=a']);
  });

  it('makes before it breaks: the new cluster is warm before it is referred to, the old one goes last', () => {
    const test = connect();
    test.drain();
    test.set(cluster, { b: '1' });
    test.set(endpoints, { b: '1' });
    test.set(listener, { l: 'b' });
    test.set(route, { r: 'b' });

    const made = test.next();
    assert.deepEqual(typesOf(made ? [made] : []), ['cluster b=1']);
    assert.equal(test.next(), undefined, 'listeners wait for the cluster to be taken');
    // Envoy subscribes to the endpoints of the new cluster before it acknowledges it.
    test.delta({ typeUrl: endpoints, subscribe: ['b'] });
    test.delta({ typeUrl: cluster, nonce: made?.nonce ?? '' });

    assert.deepEqual(typesOf(test.drain()), [
      'endpoints b=1',
      'listener l=b',
      'route r=b',
      'cluster -a',
      'endpoints -a',
    ]);
  });

  it('keeps a cluster that comes back before it was removed', () => {
    const test = connect();
    test.drain();
    test.set(cluster, {});
    test.set(listener, { l: 'b' });
    const response = test.next();
    assert.deepEqual(typesOf(response ? [response] : []), ['listener l=b']);
    test.set(cluster, { a: '1' });
    test.delta({ typeUrl: listener, nonce: response?.nonce ?? '' });

    assert.deepEqual(typesOf(test.drain()), ['cluster a=1', 'endpoints a=1']);
  });

  it('sends the endpoints again with a changed cluster, also right after a reconnect', () => {
    const test = connect();
    test.drain();
    test.set(cluster, { a: '2' });
    assert.deepEqual(typesOf(test.drain()), ['cluster a=2', 'endpoints a=1']);

    const again = openStream('delta');
    again.set(cluster, { a: '2', b: '1' });
    again.set(endpoints, { a: '1', b: '1' });
    again.delta({
      typeUrl: cluster,
      initialVersions: new Map([
        ['a', 'old'],
        ['b', 'old'],
      ]),
    });
    const first = again.next();
    assert.deepEqual(typesOf(first ? [first] : []), ['cluster a=2 b=1']);
    const initialVersions = new Map([
      ['a', 'whatever'],
      ['b', 'whatever'],
    ]);
    again.delta({ typeUrl: endpoints, subscribe: ['a', 'b'], initialVersions });
    assert.deepEqual(typesOf(again.drain()), ['endpoints a=1 b=1']);
  });

  it('sends routes alone when nothing else changed', () => {
    const test = connect();
    test.drain();
    test.set(route, { r: '50/50' });
    assert.deepEqual(typesOf(test.drain()), ['route r=50/50']);
  });

  it('adds own endpoints before the services that use them, and removes them after', () => {
    const test = openStream('delta');
    test.set(sets, { old: '1' });
    test.set(outbound, { s: 'old' });
    test.delta({ typeUrl: outbound });
    test.delta({ typeUrl: sets });
    test.drain();
    test.set(sets, { new: '1' });
    test.set(outbound, { s: 'new' });

    const order = test.drain().map(({ resources, removed }) => [...resources, ...removed].join());

    assert.deepEqual(order, ['new=1', 's=new', 'old']);
  });
});

describe('AdsStream, state of the world', () => {
  it('sends all clusters for each change, but of endpoints only those that changed', () => {
    const test = openStream('sotw');
    test.set(cluster, { a: 'A1', b: 'B1' });
    test.set(endpoints, { a: 'a1', b: 'b1', c: 'c1' });
    test.sotw({ typeUrl: cluster });
    test.sotw({ typeUrl: endpoints, names: ['a', 'b'] });
    assert.deepEqual(
      test.drain().map(({ resources }) => resources),
      [
        ['A1', 'B1'],
        ['a1', 'b1'],
      ],
    );

    test.set(endpoints, { a: 'a1', b: 'b2', c: 'c2' });
    assert.deepEqual(
      test.drain().map(({ resources }) => resources),
      [['b2']],
    );
    test.set(cluster, { a: 'A2', b: 'B1' });
    assert.deepEqual(
      test.drain().map(({ resources }) => resources),
      [['A2', 'B1'], ['a1']],
    );
  });

  it('sends nothing to a client that comes back with the version of what there is', () => {
    const first = openStream('sotw');
    first.set(cluster, { b: 'B', a: 'A' });
    first.sotw({ typeUrl: cluster });
    const version = first.take()?.version ?? '';

    const again = openStream('sotw');
    again.set(cluster, { a: 'A', b: 'B' });
    again.sotw({ typeUrl: cluster, version });
    assert.equal(again.next(), undefined);
    again.set(cluster, { a: 'A' });
    assert.deepEqual(again.take()?.resources, ['A']);
  });

  it('follows the names of the last request, and stale requests not at all', () => {
    const test = openStream('sotw');
    test.set(route, { r: '1', s: '1' });
    test.sotw({ typeUrl: route, names: ['r'] });
    const nonce = test.take()?.nonce ?? '';

    assert.equal(test.sotw({ typeUrl: route, names: ['s'], nonce: 'old' }).kind, 'stale');
    assert.equal(test.next(), undefined);
    test.sotw({ typeUrl: route, names: ['r', 's'], nonce });
    const added = test.take();
    assert.deepEqual(added?.resources, ['1']);
    test.sotw({ typeUrl: route, names: [], nonce: added?.nonce ?? '' });
    test.set(route, { r: '2', s: '2' });
    assert.equal(test.next(), undefined);
  });

  it('keeps the old cluster until listeners and routes have left it', () => {
    const test = openStream('sotw');
    test.set(cluster, { a: 'A' });
    test.set(listener, { l: 'a' });
    test.sotw({ typeUrl: cluster });
    test.sotw({ typeUrl: listener });
    test.drain();
    test.set(cluster, { b: 'B' });
    test.set(listener, { l: 'b' });

    assert.deepEqual(
      test.drain().map(({ resources }) => resources.join()),
      ['B,A', 'b', 'B'],
    );
  });

  it('does not repeat what was refused', () => {
    const test = openStream('sotw');
    test.set(listener, { l: 'bad' });
    test.sotw({ typeUrl: listener });
    const nonce = test.next()?.nonce ?? '';

    assert.equal(test.sotw({ typeUrl: listener, nonce, error: refusal }).kind, 'nack');
    assert.equal(test.next(), undefined);
    test.set(listener, { l: 'good' });
    assert.deepEqual(test.take()?.resources, ['good']);
  });

  it('answers an empty first request with everything or, for types that are named, with nothing', () => {
    const test = openStream('sotw');
    test.set(cluster, {});
    test.set(route, { r: '1' });
    test.sotw({ typeUrl: cluster });
    test.sotw({ typeUrl: route });
    assert.deepEqual(
      test.drain().map(({ resources }) => resources),
      [[]],
    );
    test.sotw({ typeUrl: endpoints, names: ['*'] });
    test.set(endpoints, { a: 'a' });
    assert.deepEqual(test.take()?.resources, ['a']);
  });
});
