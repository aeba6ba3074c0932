import assert from 'node:assert/strict';
import type { PodTokenVerdict } from '../../certs/pod-tokens.ts';
import { type AddressAnswer, createClusterTokenAuthentication, type KnownPod } from './authenticate-pod.ts';
import { toPeerAddress } from '../../xds/call-peer.ts';

const token = 'token';
const peer = '10.0.0.7';
const pod: KnownPod = { uid: 'u1', ips: [peer], serviceAccount: 'web' };
const claims = { namespace: 'shop', serviceAccount: 'web', pod: { name: 'web-0', uid: 'u1' } };

interface Setting {
  readonly verdict: PodTokenVerdict;
  readonly known: KnownPod | undefined;
  readonly asked: KnownPod | undefined | Error;
  readonly verifyPeerAddress?: boolean;
}

describe('who a pod is believed to be', () => {
  let looks: number;
  let now: number;
  let setting: Setting;
  let answers: AddressAnswer[];
  beforeEach(() => {
    answers = [];
    looks = 0;
    now = 0;
    setting = { verdict: { ok: true, claims, expiresAt: 1000 }, known: pod, asked: undefined };
  });

  function authenticate(request: { token?: string; peer?: string } = {}, onSleep: () => void = () => undefined) {
    return createClusterTokenAuthentication({
      keys: { verify: () => Promise.resolve(setting.verdict) },
      pods: {
        find: () => setting.known,
        lookUp: () => {
          looks += 1;
          return setting.asked instanceof Error ? Promise.reject(setting.asked) : Promise.resolve(setting.asked);
        },
      },
      trustDomain: 'cluster.local',
      verifyPeerAddress: setting.verifyPeerAddress ?? true,
      onAnswer: (answer) => answers.push(answer),
      now: () => now,
      sleep: (milliseconds) => {
        now += milliseconds;
        onSleep();
        return Promise.resolve();
      },
    })({ token, peer, ...request });
  }
  const reasonOf = async (request?: { token?: string; peer?: string }): Promise<string> => {
    const answer = await authenticate(request);
    return answer.ok ? 'ok' : answer.reason;
  };

  it('is the account of its token, in the pod that it is bound to', async () => {
    const client = { identity: 'spiffe://cluster.local/ns/shop/sa/web', pod: 'shop/web-0' };
    assert.deepEqual(await authenticate(), { ok: true, client, expiresAt: 1000 });
    assert.equal(looks, 0);
  });

  it('is nobody without a token, or with one that is not good', async () => {
    assert.equal(await reasonOf({ token: '' }), 'no bearer token');
    setting = { ...setting, verdict: { ok: false, reason: 'the token has expired' } };
    assert.equal(await reasonOf(), 'the token has expired');
  });

  it('is looked up once when it is too new to be known, or known under another uid', async () => {
    for (const known of [undefined, { ...pod, uid: 'u0' }]) {
      looks = 0;
      setting = { ...setting, known, asked: pod };
      assert.equal(await reasonOf(), 'ok');
      assert.equal(looks, 1);
    }
  });

  it('is nobody when the pod is gone, is an earlier one of that name, or runs as another', async () => {
    setting = { ...setting, known: undefined, asked: undefined };
    assert.equal(await reasonOf(), 'pod shop/web-0 is gone');
    setting = { ...setting, asked: { ...pod, uid: 'u2' } };
    assert.equal(await reasonOf(), 'the token is of an earlier pod shop/web-0');
    setting = { ...setting, known: { ...pod, serviceAccount: 'admin' } };
    assert.equal(await reasonOf(), 'pod shop/web-0 runs as another account');
    setting = { ...setting, known: undefined, asked: new Error('no answer') };
    assert.equal(await reasonOf(), 'pod shop/web-0 could not be looked up: no answer');
  });

  it('comes from an address of its pod, however that is written', async () => {
    assert.match(
      await reasonOf({ peer: '10.0.0.8' }),
      /token of pod shop\/web-0 \(10\.0\.0\.7\) came from 10\.0\.0\.8/,
    );
    assert.match(await reasonOf({ peer: 'unknown' }), /came from an unknown address/);
    assert.match(await reasonOf({ peer: '10.0.0.70' }), /came from/);
    assert.equal(await reasonOf({ peer: '::ffff:10.0.0.7' }), 'ok');
    setting = { ...setting, known: { ...pod, ips: ['10.0.0.9', 'fd00:0:0::7'] } };
    assert.equal(await reasonOf({ peer: 'fd00::7' }), 'ok');
  });

  it('waits for the kubelet to tell the address of a pod that has just started', async () => {
    setting = { ...setting, known: { ...pod, ips: [] } };
    const answer = await authenticate({}, () => {
      if (now >= 300) setting = { ...setting, known: pod };
    });
    assert.equal(answer.ok, true);
    assert.ok(now < 400, 'as soon as it is known');

    setting = { ...setting, known: { ...pod, ips: [] }, asked: { ...pod, ips: [] } };
    assert.equal(await reasonOf(), 'pod shop/web-0 has no address yet');
    assert.ok(now >= 120_000 && now < 130_000, 'a hundred pods that start at once are told one after the other');
    assert.ok(looks <= 24, 'and each is asked for seldom');
  });

  it('is waited for no longer when it is gone, or its name another pod’s', async () => {
    for (const asked of [undefined, { ...pod, uid: 'u2' }]) {
      now = 0;
      setting = { ...setting, known: { ...pod, ips: [] }, asked };
      assert.equal(await reasonOf(), 'pod shop/web-0 has no address yet');
      assert.ok(now < 6_000, `${now} ms`);
    }
  });

  it('is not waited for where its first address counts, once it is known to start fast', async () => {
    const starting = { ...pod, ips: [] };
    setting = { ...setting, known: starting };
    const claimed: unknown[] = [];
    const told: string[] = [];
    const judge = createClusterTokenAuthentication({
      keys: { verify: () => Promise.resolve(setting.verdict) },
      pods: { find: () => setting.known, lookUp: () => Promise.resolve(undefined) },
      firstAddresses: {
        claim: (...claim) => (claimed.push(claim), claim[1] === peer ? undefined : 'it is another’s'),
      },
      onAnswer: ({ kind }) => told.push(kind),
      ...{ trustDomain: 'cluster.local', now: () => now },
      sleep: (milliseconds) => {
        now += milliseconds;
        setting = { ...setting, known: { ...starting, startsFast: true } };
        return Promise.resolve();
      },
    });
    assert.equal((await judge({ token, peer })).ok, true);
    assert.ok(now > 0 && now < 100, 'as soon as it is known to');
    assert.deepEqual(await judge({ token, peer: '10.0.0.8' }), { ok: false, reason: 'it is another’s' });
    assert.deepEqual(claimed[0], [{ namespace: 'shop', name: 'web-0', uid: 'u1' }, peer]);
    setting = { ...setting, known: pod };
    assert.match(JSON.stringify(await judge({ token, peer: '10.0.0.8' })), /came from 10\.0\.0\.8/);
    assert.equal(claimed.length, 2, 'a pod whose address is told is judged by it');
    assert.deepEqual(told, ['foreign', 'foreign'], 'what is only believed speaks for no network');
  });

  it('is waited for where first addresses count, if it does not start fast', async () => {
    setting = { ...setting, known: { ...pod, ips: [] } };
    const judge = createClusterTokenAuthentication({
      keys: { verify: () => Promise.resolve(setting.verdict) },
      pods: { find: () => setting.known, lookUp: () => Promise.resolve(setting.known) },
      firstAddresses: { claim: () => assert.fail('it is claimed') },
      ...{ trustDomain: 'cluster.local', now: () => now },
      sleep: (milliseconds) => {
        now += milliseconds;
        if (now >= 300) setting = { ...setting, known: pod };
        return Promise.resolve();
      },
    });
    assert.equal((await judge({ token, peer })).ok, true);
    assert.ok(now >= 300);
  });

  it('counts before its address is waited for, and is waited for once', async () => {
    const starting = { ...pod, ips: [] };
    setting = { ...setting, known: starting };
    const wakes: (() => void)[] = [];
    const named: unknown[] = [];
    const judge = createClusterTokenAuthentication({
      keys: { verify: () => Promise.resolve(setting.verdict) },
      pods: { find: () => setting.known, lookUp: () => Promise.resolve(starting) },
      ...{ trustDomain: 'cluster.local', now: () => 0 },
      sleep: () => new Promise<void>((resolve) => wakes.push(resolve)),
    });
    const onNamed = (client: unknown): boolean => named.push(client) <= 2;
    const answers = [1, 2, 3].map(() => judge({ token, peer, onNamed }));
    assert.deepEqual(await answers[2], { ok: false, reason: 'too many of pod shop/web-0 wait for its address' });
    assert.deepEqual(named[2], { identity: 'spiffe://cluster.local/ns/shop/sa/web', pod: 'shop/web-0' });
    assert.equal(wakes.length, 1);
    setting = { ...setting, known: pod };
    wakes[0]?.();
    assert.deepEqual(
      (await Promise.all(answers.slice(0, 2))).map(({ ok }) => ok),
      [true, true],
    );
    await judge({ token, peer, onNamed: () => assert.fail('there is nothing to wait for') });
  });

  it('comes from anywhere where addresses are not verified, and is waited for by nobody', async () => {
    setting = { ...setting, verifyPeerAddress: false };
    assert.equal(await reasonOf({ peer: '192.168.0.1' }), 'ok');
    setting = { ...setting, known: { ...pod, ips: [] } };
    assert.equal(await reasonOf({ peer: '192.168.0.1' }), 'ok');
    assert.equal(now, 0);
    setting = { ...setting, known: { ...pod, uid: 'u2' }, asked: { ...pod, uid: 'u2' } };
    assert.equal(await reasonOf(), 'the token is of an earlier pod shop/web-0');
  });

  it('is told with what was wrong: the address alone, or something else', async () => {
    await authenticate();
    await authenticate({ peer: '10.0.0.1' });
    setting = { ...setting, known: { ...pod, serviceAccount: 'admin' } };
    await authenticate();
    assert.deepEqual(
      answers.map(({ kind, pod: name, address }) => [kind, name, address]),
      [
        ['ok', 'shop/web-0', peer],
        ['foreign', 'shop/web-0', '10.0.0.1'],
        ['other', 'shop/web-0', peer],
      ],
    );
  });

  it('reads the address out of what gRPC says', () => {
    assert.equal(toPeerAddress('10.0.0.7:5123'), '10.0.0.7');
    assert.equal(toPeerAddress('fd00::7:5123'), 'fd00::7');
    assert.equal(toPeerAddress('::ffff:10.0.0.7:5123'), '::ffff:10.0.0.7');
  });
});
