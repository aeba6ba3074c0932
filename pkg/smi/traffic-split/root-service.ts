import type { Problem } from '../../problem/problem.ts';
import { clip, isObjectName } from '../reader.ts';
import type { TrafficSplit } from './traffic-split.ts';

/**
 * The name of a split's root Service, in the split's own namespace. Read are `svc`, `svc.ns`, `svc.ns.svc`,
 * `svc.ns.svc.cluster`, `svc.ns.svc.<cluster domain>`, each with or without a trailing dot (DECISIONS S9).
 */
export function rootServiceOf(split: TrafficSplit): { readonly name: string } | { readonly problem: Problem } {
  const written = split.service.endsWith('.') ? split.service.slice(0, -1) : split.service;
  const [name = '', namespace, svc] = written.split('.');
  const isName = isObjectName(written) && !written.split('.').includes('');
  if (!isName || (svc !== undefined && svc !== 'svc')) {
    const message = `"${clip(split.service)}" is not the name of a Service`;
    return { problem: problemOf(split, message, `write "name" or "name.${split.namespace}.svc.cluster.local"`) };
  }
  if (namespace !== undefined && namespace !== split.namespace) {
    const message = `the root Service is in namespace "${namespace}", the split in "${split.namespace}"`;
    return { problem: problemOf(split, message, `move the split to namespace "${namespace}"`) };
  }
  return { name };
}

function problemOf(split: TrafficSplit, message: string, fix: string): Problem {
  const { apiVersion, kind, namespace, name } = split;
  const resource = { apiVersion, kind, namespace, name };
  return { resource, field: '/spec/service', severity: 'error', reason: 'RootInvalid', message, fix };
}
