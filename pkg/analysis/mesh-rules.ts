import { protocolOf } from '../catalog/protocol.ts';
import type { Problem } from '../problem/problem.ts';
import { smiKinds } from '../smi/kinds.ts';
import { isJsonObject } from '../smi/reader.ts';
import { type AnalysisRule, serviceRef } from './rule.ts';
import { podsOf } from './split-rules.ts';
import { isEnforced } from '../policy/inbound.ts';

const opaqueNames =
  /(^|[-_])(mysql|mariadb|postgres|postgresql|pgsql|redis|mongo|mongodb|amqp|rabbitmq|kafka|smtp|imap|ssh|sftp|ftp|https|tls|ssl|ldap|nats|memcached|cassandra|cql|zookeeper|mqtt|etcd-peer|dns)([-_]|$)/i;
const opaquePorts: ReadonlyMap<number, string> = new Map([
  [22, 'SSH'],
  [25, 'SMTP'],
  [443, 'TLS'],
  [3306, 'MySQL'],
  [5432, 'PostgreSQL'],
  [5672, 'AMQP'],
  [6379, 'Redis'],
  [8883, 'MQTT over TLS'],
  [9042, 'Cassandra'],
  [9092, 'Kafka'],
  [11211, 'memcached'],
  [27017, 'MongoDB'],
]);
const serverFirst = /mysql|mariadb|smtp|imap|ssh|ftp/i;

/** Ports that are taken for HTTP, for want of an appProtocol, and whose name or number says otherwise. */
export const misleadingPorts: AnalysisRule = ({ snapshot }) =>
  snapshot.services.flatMap((service) =>
    service.ports.flatMap((port, i): readonly Problem[] => {
      const said = /^(http|grpc|tcp)/i.test(port.name) && !/^https/i.test(port.name);
      if (port.protocol !== 'TCP' || port.appProtocol !== undefined || said || protocolOf(port).protocol !== 'http')
        return [];
      const [, , named] = opaqueNames.exec(port.name) ?? [];
      const meant = named ?? opaquePorts.get(port.port);
      if (meant === undefined) return [];
      return [
        {
          resource: serviceRef(service),
          field: `/spec/ports/${i}`,
          severity: 'warning',
          reason: 'PortNameMisleads',
          message: `port ${port.port}${port.name === '' ? '' : ` "${port.name}"`} looks like ${meant}, and is taken for HTTP: neither appProtocol nor a name "tcp-…" says otherwise`,
          fix: `set appProtocol: ${serverFirst.test(meant) ? 'tcp-server-first' : 'tcp'}, or http if that is what it speaks`,
        },
      ];
    }),
  );

/** Services that lead nowhere, in a namespace that has workloads. */
export const selectorsWithoutPods: AnalysisRule = (facts) => {
  const { snapshot, smi } = facts;
  return snapshot.services.flatMap((service): readonly Problem[] => {
    const { namespace, name } = service;
    if (service.externalName !== undefined || snapshot.pods.every((pod) => pod.namespace !== namespace)) return [];
    // What a split says of its backends and its root is said there.
    const inSplit = smi.splits.some(
      (split) =>
        split.namespace === namespace &&
        (split.service.split('.')[0] === name || split.backends.some((backend) => backend.service === name)),
    );
    if (inSplit || podsOf(facts, service)?.length !== 0) return [];
    return [
      {
        resource: serviceRef(service),
        field: '/spec/selector',
        severity: 'warning',
        reason: 'SelectorMatchesNothing',
        message: `no pod of namespace "${namespace}" has these labels, so calls are answered with 503`,
        fix: "correct the selector or the labels of the pods' template",
      },
    ];
  });
};

/** Workloads that a TrafficTarget opens and no Service leads to; Services that nobody may call. */
export const unreachableWorkloads: AnalysisRule = ({ model, snapshot, smi, locate }) => {
  const problems: Problem[] = [];
  const told = new Set<string>();
  for (const [key, { inbound }] of model.pods) {
    const pod = snapshot.pods.find(({ namespace, name }) => `${namespace}/${name}` === key);
    const [namespace = '', kind = 'Pod', name = ''] = (pod?.owner ?? `${pod?.namespace}/Pod/${pod?.name}`).split('/');
    const resource = { kind, namespace, name };
    const id = [kind, namespace, name].join('/');
    if (told.has(id)) continue;
    told.add(id);
    const grants = inbound.rules.filter(({ shadow }) => !shadow);
    const [first] = grants;
    if (inbound.ports.length === 0 && first && locate(resource, '') !== undefined) {
      problems.push({
        resource,
        field: '/metadata/name',
        severity: 'warning',
        reason: 'WorkloadWithoutService',
        message: `TrafficTarget "${first.origin.name}" opens it, and no Service leads to it, so no call can come`,
        fix: 'add a Service whose selector has its labels',
      });
    } else if (
      inbound.ports.length > 0 &&
      isEnforced(inbound) &&
      inbound.rules.length === 0 &&
      smi.targets.length > 0
    ) {
      problems.push({
        resource,
        field: '/metadata/name',
        severity: 'info',
        reason: 'NobodyMayCall',
        message: `no TrafficTarget opens ServiceAccount "${pod?.serviceAccount}", so every call to it is refused`,
        fix: 'add a TrafficTarget if somebody shall call it; "tulle suggest" writes one from what was refused',
      });
    }
  }
  return problems;
};

/** Policy that is written and not enforced. */
export const permissiveLeftOn: AnalysisRule = ({ snapshot, smi }) => {
  const { config, namespaces } = snapshot;
  const restricted = new Set(smi.targets.map(({ namespace }) => namespace));
  return namespaces.flatMap(({ name, mode }): readonly Problem[] => {
    if (!restricted.has(name) || (mode ?? config.mode) !== 'permissive') return [];
    const from = mode === undefined ? `the mesh's (${config.modeFrom})` : 'its own';
    return [
      {
        resource: { apiVersion: 'v1', kind: 'Namespace', namespace: '', name },
        field: '/metadata/annotations',
        severity: 'warning',
        reason: 'ModePermissive',
        message: `the mode is permissive, ${from}, so the TrafficTargets of namespace "${name}" restrict nothing`,
        fix: 'set tulle.dev/mode to shadow to see what enforce would refuse, then to enforce',
      },
    ];
  });
};

const old: ReadonlySet<string> = new Set([
  'access.smi-spec.io/v1alpha1',
  'access.smi-spec.io/v1alpha2',
  'specs.smi-spec.io/v1alpha1',
  'specs.smi-spec.io/v1alpha2',
  'split.smi-spec.io/v1alpha1',
]);

/** One line for each version whose shape the newest no longer has. */
export const oldVersions: AnalysisRule = ({ snapshot }) => {
  const byVersion = new Map<string, typeof snapshot.smi>();
  for (const raw of snapshot.smi) {
    if (!old.has(raw.apiVersion)) continue;
    const key = `${raw.kind} ${raw.apiVersion}`;
    byVersion.set(key, [...(byVersion.get(key) ?? []), raw]);
  }
  return [...byVersion.values()].flatMap((same): readonly Problem[] => {
    const [first] = same;
    if (first === undefined) return [];
    const { apiVersion, kind, metadata } = first;
    const known = smiKinds.find((each) => each.kind === kind && apiVersion.startsWith(`${each.group}/`));
    const newest = known?.versions.at(-1);
    return [
      {
        resource: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
        field: '/apiVersion',
        severity: 'info',
        reason: 'VersionOld',
        message: `${same.length} ${kind} ${same.length === 1 ? 'is' : 'are'} of ${apiVersion}: it is read as it is, and ${newest} has another shape`,
        fix: `move to ${known?.group}/${newest} when no tool needs the old one`,
      },
    ];
  });
};

/** A list entry with several keys looks like alternatives; all of them must hold. */
export const headerShapes: AnalysisRule = ({ snapshot }) =>
  snapshot.smi.flatMap((raw): readonly Problem[] => {
    if (raw.kind !== 'HTTPRouteGroup') return [];
    const { apiVersion, kind, metadata } = raw;
    const spec = isJsonObject(raw['spec']) ? raw['spec'] : raw;
    const at = spec === raw ? '' : '/spec';
    const matches: readonly unknown[] = Array.isArray(spec['matches']) ? (spec['matches'] as unknown[]) : [];
    return matches.flatMap((match, i) => {
      const headers = isJsonObject(match) ? match['headers'] : undefined;
      const entries: readonly unknown[] = Array.isArray(headers) ? (headers as unknown[]) : [];
      const names = entries.flatMap((entry) =>
        isJsonObject(entry) ? Object.keys(entry).map((name) => name.toLowerCase()) : [],
      );
      const twice = names.find((name, k) => names.indexOf(name) !== k);
      if (twice === undefined) return [];
      return [
        {
          resource: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
          field: `${at}/matches/${i}/headers`,
          severity: 'warning',
          reason: 'HeaderTwice',
          message: `header "${twice}" stands here twice, and both patterns must hold: they are no alternatives`,
          fix: 'write one pattern with "|", or two matches',
        } as const,
      ];
    });
  });
