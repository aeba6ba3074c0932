import { randomBytes } from 'node:crypto';
import type { Problem } from '../problem/problem.ts';
import { freePort, listenOnce, whoListens } from './ports.ts';
import type { TcpService } from './service-variables.ts';
import type { ProxyEntrance } from './sidecar-program.ts';

export interface WantedPort {
  readonly port: number;
  /** The program takes another one when told. */
  readonly movable: boolean;
}

export interface PortBook {
  /** Real ports for those of a pod, or why one can't be had. */
  take(
    pod: string,
    owner: string,
    wanted: readonly WantedPort[],
  ): Promise<readonly { readonly port: number; readonly appPort: number }[] | Omit<Problem, 'resource'>>;
  /** Where a pod's sidecar takes the calls of its app. */
  entrance(pod: string, services: readonly TcpService[]): Promise<ProxyEntrance>;
  giveBack(pod: string): void;
}

/** The ports of this machine that the pods of a mesh in proxy mode have: there is but one network for all (DECISIONS L2). */
export function createPortBook(): PortBook {
  const taken = new Map<number, { readonly pod: string; readonly owner: string }>();
  const fresh = async (name: string, pod: string, owner: string): Promise<number> => {
    const port = await freePort(name, new Set(taken.keys()));
    taken.set(port, { pod, owner });
    return port;
  };

  return {
    async take(pod, owner, wanted) {
      const ports: { port: number; appPort: number }[] = [];
      for (const { port, movable } of wanted) {
        if (movable) {
          ports.push({ port, appPort: await fresh(`${pod}:${port}`, pod, owner) });
          continue;
        }
        const holder = taken.get(port);
        if (holder) return conflict(owner, port, holder.pod === pod ? 'another of its containers' : holder.owner);
        // Ours from here on, before anything else is asked: another pod may want it meanwhile.
        taken.set(port, { pod, owner });
        const stranger = await whoHolds(port);
        if (stranger !== undefined) {
          taken.delete(port);
          return conflict(owner, port, stranger);
        }
        ports.push({ port, appPort: port });
      }
      return ports;
    },
    async entrance(pod, services) {
      const tcp: ProxyEntrance['tcp'][number][] = [];
      for (const { namespace, name, port } of services) {
        const service = `${namespace}/${name}:${port}`;
        tcp.push({ service, port: await fresh(`${pod}>${service}`, pod, pod) });
      }
      return { port: await fresh(`${pod}>proxy`, pod, pod), secret: randomBytes(16).toString('hex'), tcp };
    },
    giveBack(pod) {
      for (const [port, holder] of taken) if (holder.pod === pod) taken.delete(port);
    },
  };
}

/** A program outside of the mesh that listens there. */
async function whoHolds(port: number): Promise<string | undefined> {
  try {
    await listenOnce(port);
    return undefined;
  } catch {
    return whoListens(port) ?? 'another program';
  }
}

function conflict(owner: string, port: number, rival: string): Omit<Problem, 'resource'> {
  return {
    field: '',
    severity: 'error',
    reason: 'PortConflict',
    message: `${owner} and ${rival} both want port ${port} of this machine`,
    fix: 'run where pods can be isolated (Linux), or name the variable by which the program takes its port: annotation tulle.dev/port-env',
  };
}
