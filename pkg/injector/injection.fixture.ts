import assert from 'node:assert/strict';
import type { InjectionNamespace, InjectionSettings } from './injection-settings.ts';
import type { PatchOperation } from './json-patch.ts';
import type { Container, Pod, PodSpec } from './pod.ts';
import { toInjection } from './to-injection.ts';
import type { Injection } from './to-injection.ts';

export const settings: InjectionSettings = {
  version: '0.1.0',
  meshName: 'osm',
  controlNamespace: 'tulle-system',
  service: 'tulle-controller',
  xdsPort: 15128,
  otlpPort: 15129,
  kubernetesMinor: 34,
  sidecarImage: 'tulle/sidecar:0.1.0',
};

export const meshed: InjectionNamespace = {
  name: 'shop',
  labels: { 'openservicemesh.io/monitored-by': 'osm' },
  annotations: { 'openservicemesh.io/sidecar-injection': 'enabled' },
};

/** A pod of a Deployment with one container. */
export function podOf(container: Container = {}, spec: PodSpec = {}, annotations?: Record<string, string>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: 'web-5d4f-',
      labels: { app: 'web', 'pod-template-hash': '5d4f' },
      ...(annotations ? { annotations } : {}),
      ownerReferences: [{ kind: 'ReplicaSet', name: 'web-5d4f', controller: true }],
    },
    spec: {
      serviceAccountName: 'web',
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      ...spec,
      containers: spec.containers ?? [{ name: 'web', image: 'web:1', ...container }],
    },
  };
}

/** Injects, and proves that the patch makes the pod that is given back. */
export function injected(
  pod: Pod,
  namespace: InjectionNamespace = meshed,
  more: Partial<InjectionSettings> = {},
): Extract<Injection, { kind: 'patch' }> {
  const injection = toInjection(pod, namespace, { ...settings, ...more });
  assert.equal(injection.kind, 'patch', JSON.stringify(injection));
  if (injection.kind !== 'patch') throw new Error('unreachable');
  assert.deepEqual(applyPatch(pod, injection.patch), JSON.parse(JSON.stringify(injection.pod)));
  return injection;
}

/** RFC 6902, by the letter: a path that isn't there is an error. */
export function applyPatch(document: unknown, patch: readonly PatchOperation[]): unknown {
  const root = { '': structuredClone(document) } as Record<string, unknown>;
  for (const operation of patch) {
    const steps = operation.path.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = steps.pop() ?? '';
    const parent = steps.reduce<unknown>(
      (at, step) => {
        assert.ok(typeof at === 'object' && at !== null && step in at, `${operation.path} has no parent`);
        return (at as Record<string, unknown>)[step];
      },
      steps.length === 0 ? root : root,
    ) as Record<string, unknown>;
    assert.ok(typeof parent === 'object' && parent !== null, `${operation.path} has no parent`);
    if (operation.op !== 'add') assert.ok(last in parent, `${operation.op} of ${operation.path}, which isn't there`);
    if (operation.op === 'remove') delete parent[last];
    else if (Array.isArray(parent) && operation.op === 'add')
      parent.splice(last === '-' ? parent.length : Number(last), 0, operation.value);
    else parent[last] = operation.value;
  }
  return root[''];
}

/** The bootstrap that a sidecar is started with. */
export function bootstrapOf(pod: Pod): { readonly static_resources: { readonly listeners: readonly unknown[] } } {
  const sidecar = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].find(
    ({ name }) => name === 'envoy',
  );
  const args = sidecar?.['args'] as string[];
  return JSON.parse(args[args.indexOf('--config-yaml') + 1]?.replaceAll('$$', '$') ?? '') as ReturnType<
    typeof bootstrapOf
  >;
}
