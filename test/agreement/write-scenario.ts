import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { buildMesh } from '../../pkg/catalog/build-mesh.ts';
import type { EndpointSlice, Namespace, Pod, Service } from '../../pkg/catalog/snapshot.ts';
import type { Call } from '../conformance/calls.ts';
import { type CallOutcome, decideCall } from '../conformance/decide-call.ts';
import { type Differs, type Disagreement, shrink } from './shrink.ts';

const folder = join(import.meta.dirname, '..', '..', 'build', 'disagreements');

/**
 * Shrinks what was found and writes it as a scenario: moved to test/scenarios, with a comment that says what it is about, it
 * stays found. The path of the folder. `calls.yaml` has what `decide` says, which is not always who is right.
 */
export async function keepDisagreement(
  name: string,
  found: Disagreement,
  differs: Differs,
  tries?: number,
): Promise<string> {
  return writeScenario(join(folder, name), await shrink(found, differs, tries), name);
}

/** The files of a scenario as test/scenarios/README.md has them; those that `make golden` writes are left to it. */
export function writeScenario(path: string, { snapshot, call }: Disagreement, title: string): string {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  const { namespaces, services, pods, endpointSlices, smi, config } = snapshot;
  const objects = [
    ...namespaces.filter(({ meshed, mode }) => !meshed || mode !== undefined).map(toNamespace),
    ...pods.map(toPod),
    ...services.map(toService),
    ...endpointSlices.map(toSlice),
    ...smi,
  ];
  const documents = objects.map((object) => stringify(object, { lineWidth: 0 })).join('---\n');
  writeFileSync(join(path, 'mesh.in.yaml'), `# Found by ${title}: say here what it is about.\n${documents}`);
  const { mode, pathMatch } = config;
  const differing = { ...(mode !== 'enforce' && { mode }), ...(pathMatch !== 'full' && { pathMatch }) };
  if (Object.keys(differing).length > 0) writeFileSync(join(path, 'config.in.yaml'), stringify(differing));
  const outcome = decideCall(buildMesh(snapshot).value, call);
  writeFileSync(join(path, 'calls.yaml'), stringify([toCall(call, outcome)], { lineWidth: 0 }));
  return path;
}

function toCall({ from, to, protocol, method, path, headers, authority }: Call, outcome: CallOutcome): object {
  const lines: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const known = lines[name];
    lines[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  const isBytes = protocol === 'tcp';
  return {
    ...(from === undefined ? { plaintext: true } : { from }),
    to,
    ...(protocol !== 'http' && { protocol }),
    ...(!isBytes && { method, path }),
    ...(headers.length > 0 && { headers: lines }),
    ...(authority !== undefined && { authority }),
    expect: toExpectation(outcome),
  };
}

function toExpectation({ shares, denied, unavailable, malformed, reasons, shadow }: CallOutcome): object {
  const served = Object.entries(shares).filter(([, share]) => share > 1e-9);
  const [reason] = reasons;
  const rehearsed = shadow.length > 0 ? { shadow } : {};
  const parts = {
    ...(denied > 1e-9 && denied < 1 && { denied }),
    ...(unavailable > 1e-9 && unavailable < 1 && { unavailable }),
    ...(malformed > 1e-9 && malformed < 1 && { malformed }),
  };
  const why = reasons.length === 1 ? { reason } : {};
  if (served.length > 0) return { allow: true, ...why, shares: Object.fromEntries(served), ...parts, ...rehearsed };
  if (malformed > 1 - 1e-9) return { allow: false, status: 400 };
  if (unavailable > 1 - 1e-9) return { allow: false, reason: 'Unavailable' };
  return { allow: false, ...why, ...parts, ...rehearsed };
}

function toNamespace({ name, meshed, mode }: Namespace): object {
  const annotations = mode === undefined ? {} : { annotations: { 'tulle.dev/mode': mode } };
  const labels = meshed ? {} : { labels: { 'tulle.dev/ignore': 'true' } };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...labels, ...annotations } };
}

function toPod({
  namespace,
  name,
  labels,
  meshed,
  serviceAccount,
  hostname,
  subdomain,
  ports,
  ip,
  ready,
}: Pod): object {
  const annotations = meshed ? {} : { annotations: { 'tulle.dev/sidecar': 'none' } };
  const own = ports.map(({ name: port, port: containerPort }) => ({
    ...(port !== '' && { name: port }),
    containerPort,
  }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels, ...annotations },
    spec: {
      serviceAccountName: serviceAccount,
      ...(hostname !== undefined && { hostname }),
      ...(subdomain !== undefined && { subdomain }),
      containers: [{ name: 'app', image: 'app', ports: own }],
    },
    status: { podIP: ip, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

function toService(service: Service): object {
  const { namespace, name, headless, clusterIPs, externalName, selector, ports, publishNotReadyAddresses } = service;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      ...(headless ? { clusterIP: 'None' } : clusterIPs.length > 0 && { clusterIP: clusterIPs[0] }),
      ...(externalName !== undefined && { type: 'ExternalName', externalName }),
      ...(selector && { selector }),
      ...(publishNotReadyAddresses && { publishNotReadyAddresses }),
      ports,
    },
  };
}

function toSlice({ namespace, name, service, ports, endpoints }: EndpointSlice): object {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    ports,
    endpoints: endpoints.map(({ addresses, ready, hostname, pod }) => ({
      addresses,
      conditions: { ready },
      ...(hostname !== undefined && { hostname }),
      ...(pod !== undefined && { targetRef: { kind: 'Pod', name: pod, namespace } }),
    })),
  };
}
