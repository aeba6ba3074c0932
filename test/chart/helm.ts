import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { findProgram } from '../support/find-program.ts';

export const chart = join(import.meta.dirname, '../../charts/tulle');

/** An object as rendered. What only some kinds have is typed as if all had it: a test that asks the wrong one fails. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data: Readonly<Record<string, string>>;
  /** Of a Deployment. */
  readonly spec: {
    readonly replicas?: number;
    readonly template: { readonly metadata: KubernetesObject['metadata']; readonly spec: PodSpec };
  };
  readonly webhooks: readonly Webhook[];
  readonly rules: readonly Rule[];
}

export interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly securityContext: {
    readonly runAsNonRoot: boolean;
    readonly runAsUser: number;
    readonly seccompProfile: object;
  };
  readonly containers: readonly {
    readonly image: string;
    readonly resources: { readonly requests: Readonly<Record<string, string>> };
    readonly securityContext: {
      readonly allowPrivilegeEscalation: boolean;
      readonly readOnlyRootFilesystem: boolean;
      readonly capabilities: object;
    };
  }[];
  readonly volumes: readonly { readonly configMap?: object; readonly emptyDir?: object; readonly projected?: object }[];
}

interface Selector {
  readonly matchExpressions: readonly { readonly key: string; readonly values?: readonly string[] }[];
}

export interface Webhook {
  readonly name: string;
  readonly clientConfig: { readonly service: object };
  readonly failurePolicy: string;
  readonly sideEffects: string;
  readonly rules: readonly object[];
  readonly namespaceSelector: Selector;
  readonly objectSelector: Selector;
  readonly matchConditions?: readonly object[];
}

export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

/** The controller's configuration, as far as tests ask. */
export interface RenderedConfig {
  readonly otlpForward?: string;
  readonly leafSeconds: number;
  readonly mesh: { readonly mode: string; readonly tracing: { readonly sampling: number } };
  readonly kubernetes: {
    readonly caSecret: string;
    readonly caManaged: boolean;
    readonly verifyPeerAddress: boolean;
    readonly injection: {
      readonly sidecarImage: string;
      readonly resources: object;
      readonly initResources: { readonly limits: object };
    };
  };
}

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly kubeconfig?: string;
  readonly input?: string;
}

/** Runs a program to its end. Without a kubeconfig there is no cluster that it could reach. */
export function run(program: string, args: readonly string[], { kubeconfig, input }: RunOptions = {}): Ran {
  const path = findProgram(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  const { status, stdout, stderr, error } = spawnSync(path, args, {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    timeout: 180_000,
    env: { ...process.env, KUBECONFIG: kubeconfig ?? '/dev/null' },
    ...(input === undefined ? {} : { input }),
  });
  if (error) throw error;
  return { status: status ?? -1, stdout, stderr };
}

/** The same, for what must succeed: its output. */
export function mustRun(program: string, args: readonly string[], options?: RunOptions): string {
  const { status, stdout, stderr } = run(program, args, options);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}

export type Settings = Readonly<Record<string, string | number | boolean>>;

export function toFlags(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
}

export function templateText(settings: Settings = {}, ...flags: string[]): string {
  return mustRun('helm', ['template', 'tulle', chart, '-n', 'tulle-system', ...toFlags(settings), ...flags]);
}

const rendered = new Map<string, readonly KubernetesObject[]>();

/** What the chart renders with these values, as objects. */
export function template(settings: Settings = {}, ...flags: string[]): readonly KubernetesObject[] {
  const key = JSON.stringify([settings, flags]);
  const objects = rendered.get(key) ?? toObjects(templateText(settings, ...flags));
  rendered.set(key, objects);
  return objects;
}

function toObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0] as Error;
      return document.toJS() as KubernetesObject | null;
    })
    .filter((object) => object !== null);
}

export function find(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name} was rendered`);
  return found;
}

export function configText(objects: readonly KubernetesObject[]): string {
  return find(objects, 'ConfigMap', 'tulle-controller').data['config.json'] ?? '';
}

export function configOf(objects: readonly KubernetesObject[]): RenderedConfig {
  return JSON.parse(configText(objects)) as RenderedConfig;
}

/** Skips all tests of a suite, with the reason on its name, where a program is missing. */
export function describeWith(programs: readonly string[], title: string, tests: () => void): void {
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) describe.skip(`${title} (not installed: ${missing.join(', ')})`, tests);
  else describe(title, tests);
}
