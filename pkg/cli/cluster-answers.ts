import { CliError } from './context.ts';

/** What the API server said, as far as an answer needs it. */
interface Refusal {
  readonly name: 'ClusterError';
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

/**
 * What keeps us from a cluster, and what helps. Errors of ours and those that are no answer of a cluster stay as they are.
 * By its name and not its class: the provider is loaded only when a cluster is asked.
 */
export function toAnswer(error: unknown, where: string): unknown {
  if (!isRefusal(error)) return error;
  const { reason, message, status } = error;
  switch (reason) {
    case 'Forbidden':
      return new CliError(forbidden(message), 2);
    case 'Unauthorized':
      return new CliError(`${where} does not know you: ${message}. Log in again, or choose another --context`, 2);
    case 'Unreachable':
    case 'Timeout':
      return new CliError(`${where} can't be reached: ${message}. Is it the right --context, and does it run?`, 2);
    case 'KubeconfigInvalid':
    case 'CredentialsUnusable':
      return new CliError(`${message} (${where})`, 2);
    default:
      return new CliError(status === 0 ? message : `${where} answered: ${message}`, 2);
  }
}

export function isRefusal(error: unknown): error is Refusal {
  return error instanceof Error && error.name === 'ClusterError';
}

export function isForbidden(error: unknown): error is Refusal {
  return isRefusal(error) && error.status === 403;
}

export function isAbsent(error: unknown): boolean {
  return isRefusal(error) && error.status === 404;
}

export interface MissingRight {
  readonly user: string;
  readonly verb: string;
  /** `pods`, `pods/portforward`. */
  readonly resource: string;
  readonly group: string;
  /** Absent: in the whole cluster. */
  readonly namespace?: string;
}

/** Reads what Kubernetes' authorizer writes: `pods is forbidden: User "u" cannot list resource "pods" in API group "" at the cluster scope`. */
function toMissingRight(message: string): MissingRight | undefined {
  const found =
    /User "([^"]*)" cannot (\w+) resource "([^"]*)" in API group "([^"]*)"(?: in the namespace "([^"]*)")?/.exec(
      message,
    );
  if (!found) return undefined;
  const [, user = '', verb = '', resource = '', group = '', namespace] = found;
  return { user, verb, resource, group, ...(namespace !== undefined && { namespace }) };
}

/** Which right is missing, and the command by which somebody who may do so gives it. */
export function forbidden(message: string): string {
  const right = toMissingRight(message);
  if (!right) {
    const [, forwarded] = /may not create pods\/portforward in namespace (\S+)$/.exec(message) ?? [];
    if (forwarded !== undefined)
      return `${message}; this gives the right:\n  kubectl create rolebinding -n ${forwarded} tulle-user --clusterrole=edit --user=NAME`;
    // `readCluster` names all that it was refused.
    const [, verb, resource, namespace] =
      /may not (list|get) (?!meshconfigs|namespaces)(\S+) in (\S+)/.exec(message) ?? [];
    if (namespace !== undefined)
      return `you may read neither the whole cluster nor namespace ${namespace} (${verb} ${resource}): -n says other namespaces; this gives the right in one:\n  kubectl create rolebinding -n ${namespace} tulle-user --clusterrole=view --user=NAME`;
    return `the cluster refuses: ${message}`;
  }
  const { user, verb, resource, group, namespace } = right;
  const what = group === '' ? resource : `${resource}.${group}`;
  const scope = namespace === undefined ? 'in the whole cluster' : `in namespace ${namespace}`;
  const role = roleFor(right);
  const binding = namespace === undefined ? 'clusterrolebinding' : `rolebinding -n ${namespace}`;
  const subject = subjectOf(user);
  const fix =
    role === undefined
      ? `kubectl create clusterrole tulle-user --verb=${[...new Set(['get', 'list', verb])].join(',')} --resource=${what}\n  kubectl create ${binding} tulle-user --clusterrole=tulle-user ${subject}`
      : `kubectl create ${binding} tulle-user --clusterrole=${role} ${subject}`;
  return `user "${user}" may not ${verb} ${what} ${scope}; this gives the right:\n  ${fix}`;
}

const ofView: ReadonlySet<string> = new Set([
  'pods',
  'services',
  'serviceaccounts',
  'configmaps',
  'endpoints',
  'endpointslices',
  'namespaces',
]);

/** The role of Kubernetes or of our chart that has a right; undefined: none has. */
function roleFor({ verb, resource, group }: MissingRight): string | undefined {
  const reads = verb === 'get' || verb === 'list' || verb === 'watch';
  if (reads && (ofView.has(resource) || group === 'apps' || group === 'batch')) return 'view';
  // The chart adds them to it (rbac.aggregateToView).
  if (reads && (group.endsWith('.smi-spec.io') || group.endsWith('.openservicemesh.io'))) return 'view';
  if (resource === 'pods/portforward' || (!reads && (resource === 'pods' || resource === 'services'))) return 'edit';
  return undefined;
}

function subjectOf(user: string): string {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):(.+)$/.exec(user) ?? [];
  return namespace === undefined ? `--user=${user}` : `--serviceaccount=${namespace}:${name}`;
}
