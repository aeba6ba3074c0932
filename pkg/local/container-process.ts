import { expand } from './expand.ts';
import type { ProcessSpec } from './launcher-protocol.ts';
import type { ContainerPlan } from './pod-plan.ts';

export interface ProcessContext {
  readonly podIp: string;
  readonly uid: string;
  /** What every process of this machine needs: PATH, HOME and the like. */
  readonly base: Readonly<Record<string, string>>;
  /** Of the mesh: Services of the namespace, and in proxy mode the way to the sidecar. The user's own win, but for the proxy's. */
  readonly services: Readonly<Record<string, string>>;
  readonly proxy: Readonly<Record<string, string>>;
  /** Where the apps listen, when not at the ports that they declare. */
  readonly appPort: (port: number) => number;
  readonly isolated: boolean;
  readonly log?: string;
  readonly logPrefix?: string;
}

/** The process of a container, on this machine, now. */
export function toProcess(container: ContainerPlan, context: ProcessContext): ProcessSpec {
  const values = new Map(Object.entries(context.services));
  const fields = { podIP: context.podIp, hostIP: '127.0.0.1', nodeName: 'localhost', uid: context.uid };
  const [first] = container.ports;
  const own = new Map<string, string>();
  if (container.portEnv !== undefined && first && context.appPort(first.port) !== first.port) {
    own.set(container.portEnv, String(context.appPort(first.port)));
  }
  for (const entry of container.env) {
    if (own.has(entry.name) && entry.name === container.portEnv) continue;
    const value = 'value' in entry ? expand(entry.value, values) : fields[entry.field];
    values.set(entry.name, value);
    own.set(entry.name, value);
  }
  for (const [name, value] of own) values.set(name, value);
  return {
    program: container.program,
    args: container.args.map((arg) => expand(arg, values)),
    cwd: container.cwd,
    env: { ...context.base, ...context.services, ...Object.fromEntries(own), ...context.proxy },
    confined: context.isolated,
    ...(context.log === undefined ? {} : { log: context.log }),
    ...(context.logPrefix === undefined ? {} : { logPrefix: context.logPrefix }),
  };
}

const passed =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|TMPDIR|LANG|LC_[A-Z]+|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|LD_LIBRARY_PATH|JAVA_HOME)$/;

/** What apps get of the user's environment: enough to start, not what would make them behave otherwise than in a cluster. */
export function baseEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const base: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined && passed.test(name)) base[name] = value;
  return base;
}
