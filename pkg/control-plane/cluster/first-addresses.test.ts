import assert from 'node:assert/strict';
import type { RemovedPod, StartedPod } from '../../provider/kubernetes/directories.ts';
import { createFirstAddresses } from './first-addresses.ts';

const web = { namespace: 'shop', name: 'web-0', uid: 'u1' };
const other = { namespace: 'shop', name: 'other-0', uid: 'u2' };

describe('where the token of a pod counts before the pod’s address is told', () => {
  let told: Map<string, { uid: string; ips: readonly string[] }>;
  let taken: Map<string, string>;
  let listeners: { address: (pod: StartedPod) => void; gone: (pod: RemovedPod) => void };
  let contradictions: string[];
  let confirmed: string[];

  function create() {
    told = new Map([
      ['shop/web-0', { uid: 'u1', ips: [] }],
      ['shop/other-0', { uid: 'u2', ips: [] }],
    ]);
    taken = new Map([
      ['10.0.0.1', 'pod shop/thief'],
      ['10.1.0.1', 'the node of pod shop/thief'],
      ['fd00:0::9', 'pod shop/six'],
    ]);
    contradictions = [];
    confirmed = [];
    listeners = { address: () => undefined, gone: () => undefined };
    return createFirstAddresses({
      pods: {
        find: (namespace, name) => told.get(`${namespace}/${name}`),
        whose: (isIt) => [...taken].find(([ip]) => isIt(ip))?.[1],
        onAddress: (address) => {
          listeners = { ...listeners, address };
          return () => undefined;
        },
        subscribe: (gone) => {
          listeners = { ...listeners, gone };
          return () => undefined;
        },
      },
      onConfirmation: (pod, address) => confirmed.push(`${pod} ${address}`),
      onContradiction: (pod, _, reason) => contradictions.push(`${pod}: ${reason}`),
    });
  }

  it('is the address that it came from first, as often as it comes from there', () => {
    const { claim } = create();
    assert.equal(claim(web, '10.0.0.7'), undefined);
    assert.equal(claim(web, '10.0.0.7'), undefined);
    assert.match(claim(web, '10.0.0.8') ?? '', /came from 10\.0\.0\.8, after it had come from 10\.0\.0\.7/);
  });

  it('is no address of another pod, of a node, or of another pod that starts', () => {
    const { claim } = create();
    assert.match(claim(web, '10.0.0.1') ?? '', /no address yet, came from that of pod shop\/thief/);
    assert.match(claim(web, '10.1.0.1') ?? '', /came from that of the node of pod shop\/thief/);
    assert.match(claim(web, '[fd00::9]') ?? '', /that of pod shop\/six/);
    assert.equal(claim(other, '10.0.0.9'), undefined);
    assert.match(claim(web, '10.0.0.9') ?? '', /came from that of another pod that starts/);
    assert.equal(claim(web, '10.0.0.7'), undefined, 'who was refused was not first');
  });

  it('is the pod’s own when that is told meanwhile', () => {
    const { claim } = create();
    told.set('shop/web-0', { uid: 'u1', ips: ['10.0.0.7', 'fd00:0::7'] });
    assert.match(claim(web, '10.0.0.8') ?? '', /of pod shop\/web-0 \(10\.0\.0\.7, fd00:0::7\) came from 10\.0\.0\.8/);
    assert.equal(claim(web, '[fd00::7]'), undefined);
  });

  it('is looked at again when it is told, and whoever was elsewhere has nothing from then on', () => {
    const { claim } = create();
    claim(web, '10.0.0.7');
    claim(other, '10.0.0.9');
    listeners.address({ ...web, ips: ['10.0.0.7'] });
    assert.deepEqual(contradictions, []);
    assert.deepEqual(confirmed, ['shop/web-0 10.0.0.7']);
    listeners.address({ ...other, ips: ['10.0.0.4'] });
    assert.deepEqual(contradictions, [
      'shop/other-0: the token of pod shop/other-0 came from 10.0.0.9, and the pod is at 10.0.0.4',
    ]);
    listeners.address({ ...other, ips: ['10.0.0.5'] });
    assert.equal(contradictions.length, 1, 'it is said once');
  });

  it('is none when the pod is not known, or its name is another’s by now: nobody would tell of its end', () => {
    const { claim } = create();
    told.delete('shop/web-0');
    assert.equal(claim(web, '10.0.0.7'), 'pod shop/web-0 is gone');
    told.set('shop/web-0', { uid: 'u9', ips: [] });
    assert.equal(claim(web, '10.0.0.7'), 'pod shop/web-0 is gone');
    assert.equal(claim(other, '10.0.0.7'), undefined);
  });

  it('is free again when the pod is gone', () => {
    const { claim } = create();
    claim(web, '10.0.0.7');
    listeners.gone(web);
    assert.equal(claim(other, '10.0.0.7'), undefined);
  });
});
