import assert from 'node:assert/strict';
import { meshed, podOf, settings } from './injection.fixture.ts';
import type { Container, Pod, Probe } from './pod.ts';
import { toInjection } from './to-injection.ts';

/** As many containers, each with a probe of its own, and how often injection looked at what a probe asks. */
function podOfMany(count: number, toProbe: (i: number) => Probe): { readonly pod: Pod; readonly looks: () => number } {
  let looks = 0;
  const containers = Array.from({ length: count }, (_, i): Container => {
    const { httpGet, ...rest } = toProbe(i);
    const readinessProbe = { ...rest };
    Object.defineProperty(readinessProbe, 'httpGet', {
      enumerable: true,
      get: () => {
        looks += 1;
        return httpGet;
      },
    });
    return { name: `c${i}`, image: 'c:1', readinessProbe };
  });
  return { pod: podOf({}, { containers }), looks: () => looks };
}

function messageOf(pod: Pod, namespace = meshed): string {
  const injection = toInjection(pod, namespace, settings);
  return injection.kind === 'refuse' ? injection.message : injection.kind;
}

const samePort = (i: number): Probe => ({ httpGet: { port: 80, path: `/${i}` } });

describe('a pod that nobody would write', () => {
  it('is refused for its many containers before any of their probes is looked at', () => {
    const { pod, looks } = podOfMany(20_000, samePort);
    assert.match(messageOf(pod), /the pod has 20000 containers; a pod with a sidecar may have 200: make several pods/);
    assert.equal(looks(), 0);
  });

  it('is refused for its many probes, of whichever kind they are, before any of them is looked at', () => {
    const { httpGet, ...rest } = { httpGet: { port: 80 } };
    const probe: Probe = { ...rest };
    let looks = 0;
    Object.defineProperty(probe, 'httpGet', { enumerable: true, get: () => (looks++, httpGet) });
    const each = {
      ...{ livenessProbe: probe, readinessProbe: probe, startupProbe: probe },
      lifecycle: { postStart: probe, preStop: probe },
    };
    const containers = Array.from({ length: 150 }, (_, i): Container => ({ name: `c${i}`, ...each }));
    assert.match(messageOf(podOf({}, { containers })), /have 750 probes and hooks; a pod with a sidecar may have 600/);
    assert.equal(looks, 0);
  });

  it('is refused where the bootstrap of its sidecar would be too long to start a program with', () => {
    const ports = (count: number): Pod => podOfMany(count, (i) => ({ httpGet: { port: 1000 + i } })).pod;
    assert.equal(messageOf(ports(60)), 'patch');
    assert.match(messageOf(ports(80)), /configuration of its sidecar has \d+ bytes, and 131071 are the most/);
    const long = (i: number): Probe => ({ httpGet: { port: 80, path: `/${i}/${'ü'.repeat(2_000)}` } });
    assert.match(messageOf(podOfMany(20, long).pod), /let the probes ask fewer ports and paths/);
  });

  it('is refused for a path or annotations that nobody would write', () => {
    const asking = podOf({ readinessProbe: { httpGet: { port: 80, path: '/ü'.repeat(1_000_000) } } });
    assert.match(messageOf(asking), /asks a path of 2000000 characters; 2048 are allowed/);
    const annotations = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`a/${i}`, '']));
    assert.match(messageOf(podOf({}, {}, annotations)), /has 10001 annotations; 10000 are allowed/);
  });

  it('stays out of the mesh unhindered where it is none of the mesh', () => {
    const { pod } = podOfMany(20_000, samePort);
    assert.equal(messageOf(pod, { ...meshed, labels: {} }), 'skip');
    const { pod: host } = podOfMany(201, samePort);
    assert.equal(messageOf({ ...host, spec: { ...host.spec, hostNetwork: true } }), 'skip');
  });

  it('looks at each probe a few times, however many ask one port', () => {
    const [few, many] = [podOfMany(20, samePort), podOfMany(200, samePort)];
    assert.equal(messageOf(few.pod), 'patch');
    assert.equal(messageOf(many.pod), 'patch');
    assert.equal(many.looks(), few.looks() * 10);
  });

  it('may mount something at millions of slashes, which are looked at once', () => {
    const volumeMounts = [{ name: 'data', mountPath: `${'/'.repeat(3_000_000)}x` }];
    const containers = [{ name: 'envoy' }, { name: 'web', volumeMounts }];
    const pod = podOf({}, { containers }, { 'tulle.dev/injected': '1', 'tulle.dev/fast-start': 'enabled' });
    assert.equal(messageOf(pod), 'patch');
    const above = [{ name: 'data', mountPath: '/var/run///' }];
    const { spec } = podOf({ volumeMounts: above });
    assert.match(
      messageOf({ ...pod, spec: { ...spec, containers: [...containers, ...(spec?.containers ?? [])] } }),
      /where the gate is/,
    );
  });

  it('may ask for a path that is no Unicode', () => {
    assert.equal(messageOf(podOf({ readinessProbe: { httpGet: { port: 80, path: '/\ud800' } } })), 'patch');
  });
});
