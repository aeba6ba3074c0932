import { type IncomingHttpHeaders, request } from 'node:http';
import type { Duplex } from 'node:stream';
import type { PodPort, PortForwarder } from '../provider/kubernetes/port-forward.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { isAbsent, isRefusal } from './cluster-answers.ts';
import { CliError } from './context.ts';
import type { Answer } from './mesh-client.ts';

/** The API of a control plane in a cluster, which listens on the loopback of its pods (pkg/dashboard). */
export interface ControllerApi {
  /** Names of the pods that are ready. */
  readonly pods: readonly string[];
  /** What one of them says: the state of the mesh is the same in all. */
  get<T>(path: string, timeoutMs?: number): Promise<T>;
  /** What each says: a sidecar is connected to one of them, and one that is new knows no older calls. */
  getEach<T>(path: string, timeoutMs?: number): Promise<readonly T[]>;
  /** The same with what the headers say. */
  askEach<T>(path: string, timeoutMs?: number): Promise<readonly Answer<T>[]>;
  /** By how many milliseconds its clock is ahead of ours, as last heard. */
  clockAhead(): number;
  /** A connection, for a page that is shown here. */
  connect(): Promise<Duplex>;
}

export const controllerService = 'tulle-controller';
const apiPort = 9092;

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  }[];
}

/** Finds the control plane by its Service. That there is none is an answer. */
export async function openControllerApi(access: ClusterAccess): Promise<ControllerApi> {
  const { controlNamespace: namespace, options } = access;
  const pods = await findControllers(access);
  if (pods.length === 0) {
    throw new CliError(
      `no pod of the control plane in namespace ${namespace} is ready: kubectl get pods -n ${namespace}; "tulle check" says more`,
      2,
    );
  }
  const { createPortForwarder } = await import('../provider/kubernetes/port-forward.ts');
  const forwarder = await createPortForwarder(options);
  let ahead = 0;
  const ask = async <T>(pod: string, path: string, timeoutMs = 20_000): Promise<Answer<T>> => {
    const { status, body, headers } = await getThrough(forwarder, { namespace, pod, port: apiPort }, path, timeoutMs);
    // Whole seconds: what is less is nothing.
    const difference = Date.parse(headers.date ?? '') - Date.now();
    ahead = Math.abs(difference) > 2_000 ? difference : 0;
    if (status !== 200)
      throw new CliError(`${namespace}/${pod} answered ${status} to ${path}: ${body.slice(0, 200)}`, 2);
    return { value: JSON.parse(body) as T, headers };
  };
  const [first = ''] = pods;
  const askEach = <T>(path: string, timeoutMs?: number): Promise<Answer<T>[]> =>
    Promise.all(pods.map((pod) => ask<T>(pod, path, timeoutMs)));
  return {
    pods,
    get: async <T>(path: string, timeoutMs?: number) => (await ask<T>(first, path, timeoutMs)).value,
    getEach: async <T>(path: string, timeoutMs?: number) =>
      (await askEach<T>(path, timeoutMs)).map(({ value }) => value),
    askEach,
    clockAhead: () => ahead,
    connect: () => forwarder.connect({ namespace, pod: first, port: apiPort }),
  };
}

async function findControllers({ cluster, controlNamespace }: ClusterAccess): Promise<readonly string[]> {
  const path = `/api/v1/namespaces/${controlNamespace}`;
  try {
    const service = await cluster.request<{ readonly spec?: { readonly selector?: Readonly<Record<string, string>> } }>(
      'GET',
      `${path}/services/${controllerService}`,
    );
    const selector = Object.entries(service.spec?.selector ?? {}).map(([key, value]) => `${key}=${value}`);
    if (selector.length === 0) return [];
    const { items } = await cluster.request<PodList>('GET', `${path}/pods`, {
      query: { labelSelector: selector.join(',') },
    });
    return items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .filter(({ status }) => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'))
      .map(({ metadata }) => metadata.name)
      .sort();
  } catch (error) {
    if (!isAbsent(error)) throw error;
    throw new CliError(
      `there is no Service ${controllerService} in namespace ${controlNamespace}: is Tulle installed there? --control-namespace says where else`,
      2,
    );
  }
}

const largest = 64 * 1024 * 1024;

/** One HTTP request to a port of a pod, over a connection of its own: all of it within the time given. */
export async function getThrough(
  forwarder: Pick<PortForwarder, 'connect'>,
  to: PodPort,
  path: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: string; readonly headers: IncomingHttpHeaders }> {
  const name = `port ${to.port} of pod ${to.namespace}/${to.pod}`;
  const signal = AbortSignal.timeout(timeoutMs);
  const late = (): CliError => new CliError(`${name}: no answer within ${timeoutMs} ms`, 2);
  const connection = await connectBefore(signal, forwarder.connect(to), late);
  try {
    return await new Promise((resolve, reject) => {
      const call = request(
        { host: '127.0.0.1', port: to.port, path, createConnection: () => connection, signal },
        (answer) => {
          let size = 0;
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => {
            size += chunk.length;
            chunks.push(chunk);
            if (size > largest) call.destroy(new Error('the answer is too large'));
          });
          answer.on('end', () =>
            resolve({
              status: answer.statusCode ?? 0,
              body: Buffer.concat(chunks).toString('utf8'),
              headers: answer.headers,
            }),
          );
          answer.on('error', reject);
        },
      );
      call.on('error', reject);
      call.end();
    });
  } catch (error) {
    if (isRefusal(error)) throw new CliError(error.message, 2);
    throw signal.aborted ? late() : new CliError(`${name}: ${error instanceof Error ? error.message : ''}`, 2);
  } finally {
    connection.destroy();
  }
}

/** A connection that comes when nobody waits for it any more is closed again. */
function connectBefore(signal: AbortSignal, connecting: Promise<Duplex>, late: () => Error): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(late());
    signal.addEventListener('abort', giveUp, { once: true });
    connecting.then((connection) => {
      signal.removeEventListener('abort', giveUp);
      if (signal.aborted) connection.destroy();
      else resolve(connection);
    }, reject);
  });
}
