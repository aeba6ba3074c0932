import { join } from 'node:path';
import { toBootstrap, toSecretFiles } from '../../envoy-config/bootstrap.ts';
import { appPortsMetadata, outboundMetadata } from '../../envoy-config/interception.ts';
import type { RedirectTool } from '../isolation.ts';
import type { ProcessSpec } from '../launcher-protocol.ts';
import { podKey } from '../pod-plan.ts';
import { writeAtomically, type RunDirectory } from '../run-directory.ts';
import type { ProxyEntrance, SidecarPod, SidecarProgram } from '../sidecar-program.ts';
import { callAdmin } from './admin-client.ts';
import type { EnvoyRunnerConfig } from './runner-config.ts';

export interface EnvoySidecarOptions {
  readonly run: Pick<RunDirectory, 'file'>;
  readonly node: string;
  /** `envoy-sidecar.js`, the program that runs beside each Envoy. */
  readonly program: string;
  /** Path of the Envoy binary; asked for when the first pod needs it. */
  readonly findEnvoy: () => string;
  readonly redirect: RedirectTool;
  readonly env: Readonly<Record<string, string>>;
}

/** As in a pod of Kubernetes; free in a network namespace of its own. */
const outboundPort = 15_001;
const drainMillis = 4_000;

/** A real Envoy, with a small program beside it that does what Envoy can't: redirect, names, an orderly end. */
export function envoySidecar(options: EnvoySidecarOptions): SidecarProgram {
  return {
    kind: 'envoy',
    prepare(pod): ProcessSpec {
      const file = (name: string): string => join(pod.dir, name);
      const write = (name: string, content: object): void =>
        writeAtomically(file(name), JSON.stringify(content, undefined, 2));
      const trust = {
        rootsFile: options.run.file('controller-ca.pem'),
        serverName: 'controller.tulle',
        tokenFile: file('token'),
        directory: pod.dir,
      };
      const { namespace, serviceAccount } = pod.plan;
      write(
        'envoy.json',
        toBootstrap({
          nodeId: podKey(pod.plan),
          nodeCluster: `${namespace}/${serviceAccount}`,
          nodeMetadata: toMetadata(pod),
          xds: { pipe: { path: options.run.file('xds.sock') } },
          xdsTrust: trust,
          otlp: { pipe: { path: options.run.file('otlp.sock') } },
          admin: { pipe: { path: file('admin.sock'), mode: 0o600 } },
        }),
      );
      for (const [name, content] of Object.entries(toSecretFiles(trust))) write(name, content);
      write('config.json', toRunnerConfig(pod, options, file('envoy.json')));
      return {
        program: options.node,
        args: ['--enable-source-maps', options.program, '--config', file('config.json')],
        env: options.env,
        cwd: '/',
        confined: false,
        // It drains its Envoy before it ends it.
        endsItsOwn: true,
        log: file('sidecar.log'),
      };
    },
    async isReady(pod) {
      const answer = await callAdmin(join(pod.dir, 'admin.sock'), 'GET', '/ready').catch(() => undefined);
      return answer?.status === 200;
    },
  };
}

function toRunnerConfig(pod: SidecarPod, options: EnvoySidecarOptions, bootstrap: string): EnvoyRunnerConfig {
  const { plan, dir, ip, proxy } = pod;
  const { run, redirect, findEnvoy } = options;
  const account = `${plan.namespace}/${plan.serviceAccount}`;
  const resource = toResource(pod);
  return {
    pod: podKey(plan),
    account,
    envoy: {
      program: findEnvoy(),
      args: [
        ...['--config-path', bootstrap, '--disable-hot-restart', '--concurrency', '1', '--log-level', 'warning'],
        // A TCP connection whose grant is gone is closed after this; requests end at once (DECISIONS E3).
        ...['--drain-time-s', '30', '--drain-strategy', 'immediate'],
        ...['--file-flush-interval-msec', '500'],
      ],
      env: {
        TULLE_SOURCE: account,
        OTEL_RESOURCE_ATTRIBUTES: Object.entries(resource)
          .map(([key, value]) => `${key}=${value}`)
          .join(','),
      },
      admin: join(dir, 'admin.sock'),
    },
    resource,
    otlp: [`unix:${run.file('otlp.sock')}`],
    xds: {
      address: `unix:${run.file('xds.sock')}`,
      ca: run.file('controller-ca.pem'),
      tokenFile: join(dir, 'token'),
    },
    drainMillis,
    ...(proxy
      ? {}
      : {
          redirect: { tool: redirect, port: outboundPort, ownIp: ip },
          hosts: { file: join(dir, 'hosts'), self: { ip, names: [plan.hostname] } },
        }),
  };
}

/** What its spans say of the process. */
function toResource({ plan }: SidecarPod): Record<string, string> {
  return {
    'service.name': plan.owner.split('/').at(-1) || plan.name,
    'service.namespace': plan.namespace,
    'k8s.namespace.name': plan.namespace,
    'k8s.pod.name': plan.name,
  };
}

/** How traffic gets into and out of it: the control plane asks (pkg/envoy-config/interception.ts). */
function toMetadata({ proxy, ports }: SidecarPod): Record<string, string> {
  const moved = ports.filter(({ port, appPort }) => port !== appPort);
  return {
    ...(proxy ? { [outboundMetadata]: JSON.stringify(toOutbound(proxy)) } : {}),
    ...(moved.length > 0
      ? {
          [appPortsMetadata]: JSON.stringify(Object.fromEntries(moved.map(({ port, appPort }) => [port, appPort]))),
        }
      : {}),
  };
}

function toOutbound({ port, secret, tcp }: ProxyEntrance): object {
  return {
    port,
    authorization: `Basic ${Buffer.from(`w:${secret}`).toString('base64')}`,
    tcp: Object.fromEntries(tcp.map(({ service, port: local }) => [service, local])),
  };
}
