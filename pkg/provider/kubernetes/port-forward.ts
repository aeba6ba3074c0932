import { Duplex, PassThrough } from 'node:stream';
import { ClusterError } from './cluster-error.ts';
import { type KubeConfigOptions, loadKubeConfig } from './kube-config.ts';

export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** Opens connections to ports of pods through the API server, as `kubectl port-forward` does: no port is opened here. */
export interface PortForwarder {
  /** Fails with a ClusterError when the API server refuses; the stream fails when nothing listens in the pod. */
  connect(to: PodPort): Promise<Duplex>;
}

/** The user needs `get` and `create` on `pods/portforward`; which of them is asked for depends on the version of the API server. */
export async function createPortForwarder(options: KubeConfigOptions): Promise<PortForwarder> {
  const config = await loadKubeConfig(options);
  const cluster = config.getCurrentCluster();
  // client-node refuses plain HTTP without this, and `kubectl proxy` speaks nothing else.
  if (cluster?.server.startsWith('http:') === true) Object.assign(cluster, { skipTLSVerify: true });
  const { PortForward } = await import('@kubernetes/client-node');
  const forward = new PortForward(config);
  return {
    async connect({ namespace, pod, port }) {
      const name = `port ${port} of pod ${namespace}/${pod}`;
      const fromPod = new PassThrough();
      const failure = new PassThrough();
      const toPod = new PassThrough();
      const socket = await open(
        () => forward.portForward(namespace, pod, [port], fromPod, failure, toPod),
        name,
        namespace,
      );
      const stream = Duplex.from({ readable: fromPod, writable: toPod });
      // The kubelet says here why it can't connect; client-node knows no other end of the connection.
      failure.on('data', (text: Buffer) => {
        const said = text.toString('utf8').trim();
        if (said !== '') stream.destroy(new ClusterError(0, 'Unreachable', `${name}: ${said.slice(0, 500)}`));
      });
      socket.onclose = () => fromPod.end();
      socket.onerror = ({ message }) => stream.destroy(new ClusterError(0, 'Unreachable', `${name}: ${message}`));
      stream.once('close', () => socket.close());
      // An error that nobody waits for any more is the end of the stream and nothing else.
      stream.on('error', () => undefined);
      return stream;
    },
  };
}

interface ForwardSocket {
  onclose: unknown;
  onerror: ((event: { readonly message: string }) => void) | null;
  close(): void;
}

async function open(start: () => Promise<unknown>, name: string, namespace: string): Promise<ForwardSocket> {
  try {
    return (await start()) as ForwardSocket;
  } catch (cause) {
    // `ws` tells the answer of the API server in words only.
    const { message = 'the API server can not be reached' } = cause as { readonly message?: string };
    const status = Number(/Unexpected server response: (\d{3})/.exec(message)?.[1] ?? 0);
    const reason = status === 403 ? 'Forbidden' : status === 404 ? 'NotFound' : 'Unreachable';
    const text = status === 403 ? `this user may not create pods/portforward in namespace ${namespace}` : message;
    throw new ClusterError(status, reason, `${name}: ${text}`, { cause });
  }
}
