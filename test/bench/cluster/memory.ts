import type { KubernetesApi } from '../../support/kubernetes-api.ts';
import { applyObjects, isReady, pathOf, podsOf, removeNamespaces, until } from '../../support/kubernetes-objects.ts';
import { controlNamespace, kubectl } from '../../e2e-kubernetes/cluster.ts';
import { namespaceObject, peerObjects, serviceObject } from '../../e2e-kubernetes/peers.ts';
import { type Section, toGoal, toText } from '../report.ts';
import { bookstoreNamespaces } from '../../e2e-kubernetes/bookstore.ts';
import type { Row } from './run.ts';

const kib = 1024;

interface ProcessUse {
  readonly rssMiB: number;
  readonly anonymousMiB: number;
  readonly cpuMs: number;
}

/** What the first process of a container uses, as its own /proc says. */
async function readFirstProcess(
  namespace: string,
  pod: string,
  container: string,
  command: readonly string[],
): Promise<ProcessUse> {
  const text = await kubectl(['exec', '-n', namespace, pod, '-c', container, '--', ...command]);
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? NaN);
  const [, user = '0', system = '0'] = /^\d+ \(.*\) \w (?:-?\d+ ){10}(\d+) (\d+)/m.exec(text) ?? [];
  return {
    rssMiB: field('VmRSS') / kib,
    anonymousMiB: field('RssAnon') / kib,
    // Ticks of 10 ms.
    cpuMs: (Number(user) + Number(system)) * 10,
  };
}

/** The controller: all replicas together. It has Node, and perhaps no shell. */
export async function readProcess(api: KubernetesApi): Promise<ProcessUse> {
  const pods = await podsOf(api, controlNamespace, 'app=tulle-controller');
  const script = "for (const f of ['status','stat']) console.log(require('fs').readFileSync('/proc/1/'+f,'utf8'))";
  const all = await Promise.all(
    pods.map(({ metadata }) => readFirstProcess(controlNamespace, metadata.name, 'controller', ['node', '-e', script])),
  );
  const sum = (what: (use: ProcessUse) => number): number => all.reduce((total, use) => total + what(use), 0);
  return {
    rssMiB: sum((use) => use.rssMiB),
    anonymousMiB: sum((use) => use.anonymousMiB),
    cpuMs: sum((use) => use.cpuMs),
  };
}

export async function measureMemory(api: KubernetesApi): Promise<Row[]> {
  const control = await readProcess(api);
  const uses: ProcessUse[] = [];
  for (const namespace of bookstoreNamespaces)
    for (const { metadata } of (await podsOf(api, namespace)).filter(isReady))
      uses.push(await readFirstProcess(namespace, metadata.name, 'envoy', ['cat', '/proc/1/status']));
  const [rss, anonymous] = [uses.map(({ rssMiB }) => rssMiB), uses.map(({ anonymousMiB }) => anonymousMiB)];
  const range = (values: readonly number[]): string => `${toText(Math.min(...values))}–${toText(Math.max(...values))}`;
  return [
    {
      what: 'memory of the control plane (RSS of all its processes)',
      osm: '192 MiB in three, five meshed pods',
      tulle: `${toText(control.rssMiB)} MiB in one, ${uses.length} meshed pods`,
      goals: [toGoal('control plane, ≤ 120 MiB RSS', control.rssMiB, 120, ' MiB')],
    },
    {
      what: 'memory of one sidecar (an Envoy without any config: 62 MiB RSS, 13.5 of it anonymous)',
      osm: '67–70 MiB',
      tulle: `${range(rss)} MiB RSS, ${range(anonymous)} anonymous`,
      goals: [
        toGoal('sidecar, ≤ 70 MiB RSS', Math.max(...rss), 70, ' MiB'),
        toGoal('sidecar, ≤ 20 MiB anonymous', Math.max(...anonymous), 20, ' MiB'),
      ],
    },
  ];
}

/** A hundred meshed pods with a small server each. */
export async function measureManyPods(api: KubernetesApi, count: number): Promise<Section> {
  const namespace = 'e2e-many';
  const before = await readProcess(api);
  const start = performance.now();
  const server = "require('http').createServer((q,r)=>r.end('pong')).listen(8080)";
  const container = {
    command: ['node', '--max-semi-space-size=1', '-e', server],
    readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 2 },
    resources: { requests: { cpu: '5m', memory: '16Mi' } },
  };
  await applyObjects(api, [
    namespaceObject(namespace, { mode: 'enforce' }),
    ...peerObjects({ namespace, name: 'small', container, replicas: count }),
    serviceObject(namespace, 'small', [{ port: 8080, name: 'http' }]),
  ]);
  let ready = 0;
  const look = async (): Promise<true | undefined> => {
    const { status } = await api.get(pathOf('apps/v1', 'Deployment', namespace, 'small'));
    ready = status?.readyReplicas ?? 0;
    return ready === count || undefined;
  };
  await until(`${count} pods Ready`, 360, look, 500).catch(() => undefined);
  const seconds = (performance.now() - start) / 1000;
  const after = await readProcess(api);
  const [pod] = await podsOf(api, namespace);
  const sidecar = await readFirstProcess(namespace, pod?.metadata.name ?? '', 'envoy', ['cat', '/proc/1/status']);
  await removeNamespaces(api, [namespace], 240);
  return {
    title: 'On Kubernetes: many pods',
    text: `${count} meshed pods with a small server each, on one node.`,
    heads: ['what', 'Tulle'],
    rows: [
      [ready === count ? 'all Ready after' : `only ${ready} Ready after`, `${toText(seconds)} s`],
      ['memory of the control plane before and after', `${toText(before.rssMiB)}, ${toText(after.rssMiB)} MiB`],
      ['per proxy', `${toText(((after.rssMiB - before.rssMiB) * kib) / ready)} KiB`],
      ['one sidecar', `${toText(sidecar.rssMiB)} MiB RSS, ${toText(sidecar.anonymousMiB)} anonymous`],
      ['CPU of the control plane meanwhile', `${toText((after.cpuMs - before.cpuMs) / 1000)} s`],
    ],
    goals: [],
  };
}
