import { execFileSync } from 'node:child_process';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { parse } from 'yaml';

/** An object of Kubernetes, as far as tests look at it. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: Fields;
  readonly status?: Fields;
  readonly data?: Readonly<Record<string, string>>;
  readonly items?: readonly KubernetesObject[];
  /** Of events. */
  readonly type?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly involvedObject?: { readonly kind: string; readonly name: string };
  readonly [field: string]: unknown;
}

/** What tests read of `spec` and `status`, of all the kinds that they look at. */
export interface Fields {
  readonly replicas?: number;
  readonly readyReplicas?: number;
  readonly updatedReplicas?: number;
  readonly observedGeneration?: number;
  readonly updateRevision?: string;
  readonly currentRevision?: string;
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly lastTransitionTime?: string;
  }[];
  readonly phase?: string;
  readonly podIP?: string;
  readonly clusterIP?: string;
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly succeeded?: number;
  readonly traffic?: { readonly enablePermissiveTrafficPolicyMode?: boolean; readonly enableEgress?: boolean };
  readonly [field: string]: unknown;
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly [field: string]: unknown;
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount: number;
  readonly state?: Readonly<
    Record<
      string,
      { readonly reason?: string; readonly message?: string; readonly exitCode?: number; readonly startedAt?: string }
    >
  >;
}

export interface ApiAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

/** The API of a cluster by its kubeconfig, one keep-alive connection per request in flight: what `kubectl` does, without its 100 ms. */
export interface KubernetesApi {
  /** The context of its kubeconfig. */
  readonly context: string;
  send(method: string, path: string, body?: unknown, contentType?: string): Promise<ApiAnswer>;
  /** As `send`; throws what the server said unless it is 2xx. */
  call(method: string, path: string, body?: unknown, contentType?: string): Promise<KubernetesObject>;
  get(path: string): Promise<KubernetesObject>;
  /** Undefined when there is none. */
  find(path: string): Promise<KubernetesObject | undefined>;
  list(path: string): Promise<readonly KubernetesObject[]>;
  /** Hands on the lines of an endless answer until the signal. */
  follow(path: string, onLine: (line: string) => void, signal: AbortSignal): void;
  close(): void;
}

interface Body {
  readonly type: string;
  readonly text: string;
}

interface Credentials {
  readonly context: string;
  readonly server: URL;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly token?: string | undefined;
}

/** Reads the current context through `kubectl`, which knows files, environment and certificates beside them. */
function readCredentials(kubeconfig: string): Credentials {
  const text = execFileSync('kubectl', ['config', 'view', '--minify', '--flatten', '--raw', '-o', 'yaml'], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    encoding: 'utf8',
  });
  const { clusters, users, ...rest } = parse(text) as {
    'current-context': string;
    clusters: [{ cluster: { server: string; 'certificate-authority-data'?: string } }];
    users: [{ user: { 'client-certificate-data'?: string; 'client-key-data'?: string; token?: string } }];
  };
  const plain = (data: string | undefined): string | undefined =>
    data === undefined ? undefined : Buffer.from(data, 'base64').toString();
  const [{ cluster }] = clusters;
  const [{ user }] = users;
  return {
    context: rest['current-context'],
    server: new URL(cluster.server),
    ca: plain(cluster['certificate-authority-data']),
    cert: plain(user['client-certificate-data']),
    key: plain(user['client-key-data']),
    token: user.token,
  };
}

export function openKubernetesApi(kubeconfig: string, as?: { readonly token: string }): KubernetesApi {
  const { context, server, ca, ...user } = readCredentials(kubeconfig);
  const { cert, key, token } = as ? { ...as, cert: undefined, key: undefined } : user;
  const tls = { ...(ca ? { ca } : {}), ...(cert && key ? { cert, key } : {}) };
  const agent = new Agent({ keepAlive: true, ...tls });

  function open(method: string, path: string, body: Body | undefined, onAnswer: (answer: IncomingMessage) => void) {
    return request(
      {
        agent,
        method,
        host: server.hostname,
        port: server.port || 443,
        path,
        headers: {
          accept: 'application/json',
          // Node gives the body of a DELETE no length by itself, and the next request on the connection would pay for it.
          ...(body ? { 'content-type': body.type, 'content-length': Buffer.byteLength(body.text) } : {}),
          ...(token ? { authorization: `Bearer ${token}` } : {}),
        },
      },
      onAnswer,
    );
  }

  const api: KubernetesApi = {
    context,
    send: (method, path, body, contentType = 'application/json') =>
      new Promise((resolve, reject) => {
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        const sent = body === undefined ? undefined : { type: contentType, text };
        const outgoing = open(method, path, sent, (incoming) => {
          let answer = '';
          incoming.setEncoding('utf8');
          incoming.on('data', (chunk: string) => (answer += chunk));
          incoming.on('end', () =>
            resolve({ status: incoming.statusCode ?? 0, body: answer, headers: incoming.headers }),
          );
          incoming.on('error', reject);
        });
        outgoing.on('error', reject);
        outgoing.end(sent?.text);
      }),
    call: async (method, path, body, contentType) => {
      const answer = await api.send(method, path, body, contentType);
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${messageOf(answer.body)}`);
      return JSON.parse(answer.body) as KubernetesObject;
    },
    get: (path) => api.call('GET', path),
    find: async (path) => {
      const answer = await api.send('GET', path);
      if (answer.status === 404) return undefined;
      if (answer.status >= 300) throw new Error(`GET ${path}: ${answer.status} ${messageOf(answer.body)}`);
      return JSON.parse(answer.body) as KubernetesObject;
    },
    list: async (path) => (await api.get(path)).items ?? [],
    follow: (path, onLine, signal) => {
      let rest = '';
      const outgoing = open('GET', path, undefined, (incoming) => {
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          lines.forEach(onLine);
        });
        incoming.on('error', () => undefined);
      });
      outgoing.on('error', () => undefined);
      outgoing.end();
      signal.addEventListener('abort', () => outgoing.destroy(), { once: true });
    },
    close: () => agent.destroy(),
  };
  return api;
}

function messageOf(body: string): string {
  try {
    return (JSON.parse(body) as { message?: string }).message ?? body.slice(0, 500);
  } catch {
    return body.slice(0, 500);
  }
}
