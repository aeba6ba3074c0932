import type { InjectionOptions } from '../injector/injection-settings.ts';
import { type Check, checkInjectionOptions, isRecord, isText } from './injection-config.ts';

/** What only a control plane of a cluster must be told; the chart writes it. */
export interface KubernetesConfig {
  /** Where the control plane runs: `tulle-system`. */
  readonly namespace: string;
  /** Namespaces with this in the label `monitored-by` are meshed: `osm`. */
  readonly meshName: string;
  /** The Service that leads to the control plane: its names are in the certificate. */
  readonly service: string;
  readonly xdsPort: number;
  readonly otlpPort: number;
  readonly webhookPort: number;
  readonly healthPort: number;
  /** Secret with the CA. */
  readonly caSecret: string;
  /** False: somebody else keeps the Secret, with `tls.crt`, `tls.key` and perhaps `ca.crt`. */
  readonly caManaged: boolean;
  /** Name of the MutatingWebhookConfiguration whose `caBundle` is kept. Absent: there is none. */
  readonly webhookConfiguration?: string;
  /** Name of the MeshConfig of OSM in the control namespace. */
  readonly meshConfig: string;
  readonly lease: string;
  /** What is put into pods, as `pkg/injector` takes it. */
  readonly injection: InjectionOptions;
  /**
   * Path of a projected token of the pod's own ServiceAccount, of the audience `tulle`: replicas hand spans on to each
   * other with it. Absent: they don't.
   */
  readonly tokenFile?: string;
  /** False: a pod's token counts from any address. Absent: true. */
  readonly verifyPeerAddress?: boolean;
  /** Path of a kubeconfig, for a controller outside of the cluster. Absent: the ServiceAccount of the pod. */
  readonly kubeconfig?: string;
  readonly context?: string;
}

const fields = [
  'namespace',
  'meshName',
  'service',
  'xdsPort',
  'otlpPort',
  'webhookPort',
  'healthPort',
  'caSecret',
  'caManaged',
  'webhookConfiguration',
  'meshConfig',
  'lease',
  'injection',
  'tokenFile',
  'verifyPeerAddress',
  'kubeconfig',
  'context',
];

/** Checks each field by name; a field that is not known is an error as well: a misspelt one would be ignored. */
export function decodeKubernetesConfig(value: unknown, check: Check): KubernetesConfig {
  check('kubernetes', isRecord(value));
  const json = value as Record<string, unknown>;
  for (const key of Object.keys(json)) check(`kubernetes.${key}`, fields.includes(key));
  for (const key of ['namespace', 'service']) check(`kubernetes.${key}`, isLabel(json[key]));
  for (const key of ['caSecret', 'meshConfig', 'lease']) check(`kubernetes.${key}`, isName(json[key]));
  // It is the value of a label.
  check('kubernetes.meshName', typeof json['meshName'] === 'string' && /^[\w.-]{1,63}$/.test(json['meshName']));
  for (const key of ['xdsPort', 'otlpPort', 'webhookPort', 'healthPort']) check(`kubernetes.${key}`, isPort(json[key]));
  check('kubernetes.caManaged', typeof json['caManaged'] === 'boolean');
  const { webhookConfiguration, injection, context, verifyPeerAddress } = json;
  check('kubernetes.verifyPeerAddress', verifyPeerAddress === undefined || typeof verifyPeerAddress === 'boolean');
  check('kubernetes.webhookConfiguration', webhookConfiguration === undefined || isName(webhookConfiguration));
  for (const key of ['tokenFile', 'kubeconfig']) check(`kubernetes.${key}`, isPath(json[key]));
  check('kubernetes.context', context === undefined || isText(context));
  checkInjectionOptions(injection, check);
  return json as unknown as KubernetesConfig;
}

/** Names of the control plane's Service, the one that sidecars ask for first (SAN of its certificate). */
export function toServiceNames({ service, namespace }: KubernetesConfig): readonly string[] {
  const name = `${service}.${namespace}.svc`;
  return [name, `${name}.cluster.local`];
}

const isPath = (value: unknown): boolean => value === undefined || (isText(value) && value.startsWith('/'));
const isLabel = (value: unknown): boolean => isText(value) && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value);
const isName = (value: unknown): boolean => isText(value) && /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(value);
/** 0: any, for tests. */
const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 65_536;
