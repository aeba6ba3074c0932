import { request } from 'node:http';
import { join } from 'node:path';
import type { SidecarConfig } from '../sidecar/config.ts';
import type { RedirectTool } from './isolation.ts';
import type { ProcessSpec } from './launcher-protocol.ts';
import { podKey } from './pod-plan.ts';
import { writeAtomically, type RunDirectory } from './run-directory.ts';
import type { SidecarPod, SidecarProgram } from './sidecar-program.ts';

export interface NodeSidecarOptions {
  readonly run: Pick<RunDirectory, 'file'>;
  readonly node: string;
  /** `sidecar.js`. */
  readonly program: string;
  readonly redirect: RedirectTool;
  readonly env: Readonly<Record<string, string>>;
}

/** Our own sidecar, in its own process, over the sockets of the run directory. */
export function nodeSidecar({ run, node, program, redirect, env }: NodeSidecarOptions): SidecarProgram {
  return {
    kind: 'node',
    prepare(pod): ProcessSpec {
      const config = join(pod.dir, 'config.json');
      writeAtomically(config, JSON.stringify(toConfig(pod, run, redirect), undefined, 2));
      return {
        program: node,
        args: ['--enable-source-maps', program, '--config', config],
        env,
        cwd: '/',
        confined: false,
        log: join(pod.dir, 'sidecar.log'),
      };
    },
    isReady: (pod) => answersReady(join(pod.dir, 'admin.sock')),
  };
}

function toConfig(pod: SidecarPod, run: Pick<RunDirectory, 'file'>, redirect: RedirectTool): SidecarConfig {
  const { plan, dir, ip, ports, proxy, egressSocket } = pod;
  const moved = ports.filter(({ port, appPort }) => port !== appPort);
  return {
    pod: podKey(plan),
    owner: plan.owner,
    xds: {
      address: `unix:${run.file('xds.sock')}`,
      ca: run.file('controller-ca.pem'),
      tokenFile: join(dir, 'token'),
    },
    ...(plan.containers.length === 0
      ? {}
      : {
          inbound: {
            socketTemplate: join(dir, 'in-{port}.sock'),
            appHost: '127.0.0.1',
            ...(moved.length === 0
              ? {}
              : { appPorts: Object.fromEntries(moved.map(({ port, appPort }) => [port, appPort])) }),
          },
        }),
    outbound: proxy
      ? { kind: 'proxy', port: proxy.port, secret: proxy.secret, tcp: proxy.tcp }
      : {
          kind: 'redirect',
          redirect,
          hostsFile: join(dir, 'hosts'),
          self: { ip, names: [plan.hostname] },
          outside: { inside: meshRanges, ...(egressSocket === undefined ? {} : { socket: egressSocket }) },
        },
    admin: join(dir, 'admin.sock'),
    otlp: [`unix:${run.file('otlp.sock')}`],
  };
}

/** Of Services and of pods: an address of these that leads nowhere is refused by the pod's network at once. */
const meshRanges = ['10.96.0.0/12', '10.244.0.0/16'];

/** Asks the admin API of a sidecar whether it takes traffic. */
function answersReady(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path: '/ready', timeout: 1_000, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    call.once('timeout', () => call.destroy());
    call.once('error', () => resolve(false));
    call.end();
  });
}
