import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { Access, Credentials } from './access.ts';
import { ClusterError } from './cluster-error.ts';

/** A plugin that asks for a password in a window may take its time. */
const pluginMs = 60_000;
/** Plugins without an expiry would run for every request. */
const keepMs = 10_000;

export interface KubeConfigOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** Reads a kubeconfig as kubectl does, and checks that the context is there and whole. */
export async function loadKubeConfig({ kubeconfig, context }: KubeConfigOptions): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (cause) {
    const what = kubeconfig ?? 'the kubeconfig';
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ClusterError(0, 'KubeconfigInvalid', `${what} can't be read: ${why}`, { cause });
  }
  // What client-node makes up when there is none at all.
  if (kubeconfig === undefined && config.getCurrentCluster()?.server === 'http://localhost:8080') {
    if (config.getCurrentContext() === 'loaded-context')
      throw new ClusterError(
        0,
        'KubeconfigInvalid',
        'there is no kubeconfig: give --kubeconfig FILE, or set KUBECONFIG',
      );
  }
  if (context !== undefined) config.setCurrentContext(context);
  const name = config.getCurrentContext();
  if (!name || config.getContextObject(name) === null) {
    const known = config.getContexts().map((known) => known.name);
    const message = name ? `the kubeconfig has no context "${name}"` : 'the kubeconfig has no current context';
    const fix = known.length > 0 ? `it has ${known.join(', ')}` : 'it has none: give --kubeconfig, or set KUBECONFIG';
    throw new ClusterError(0, 'KubeconfigInvalid', `${message}; ${fix}`);
  }
  if (!config.getCurrentCluster()?.server) {
    throw new ClusterError(0, 'KubeconfigInvalid', `the context "${name}" of the kubeconfig names no cluster`);
  }
  return config;
}

export async function openKubeConfig(options: KubeConfigOptions): Promise<Access> {
  let config: Promise<KubeConfig> = loadKubeConfig(options);
  const loaded = await config;
  const cluster = loaded.getCurrentCluster();
  const server = (cluster?.server ?? '').replace(/\/+$/, '');
  const context = loaded.getCurrentContext();
  let known: { readonly credentials: Promise<Credentials>; readonly at: number } | undefined;

  function credentials(): Promise<Credentials> {
    const now = Date.now();
    if (known === undefined || now - known.at >= keepMs) {
      const fresh = config.then(readCredentials);
      const entry = { credentials: fresh, at: now };
      known = entry;
      // A failure is told to who waits for it, and not remembered.
      fresh.catch(() => {
        if (known === entry) known = undefined;
      });
    }
    return known.credentials;
  }

  return {
    server,
    namespace: loaded.getContextObject(context)?.namespace ?? 'default',
    context,
    credentials,
    renew() {
      known = undefined;
      // Plugins and token files are remembered in the object itself. A kubeconfig that broke meanwhile changes nothing.
      config = loadKubeConfig(options).catch(() => loaded);
    },
  };
}

async function readCredentials(config: KubeConfig): Promise<Credentials> {
  const cluster = config.getCurrentCluster();
  // It refuses plain HTTP without this, and `kubectl proxy` speaks nothing else.
  const isPlain = cluster?.server.startsWith('http:') === true;
  if (cluster && isPlain) Object.assign(cluster, { skipTLSVerify: true });
  const options: RequestOptions = {};
  await within(config.applyToHTTPSOptions(options));
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (typeof value === 'string') headers[name.toLowerCase()] = value.trim();
  }
  if (typeof options.auth === 'string') {
    headers['authorization'] ??= `Basic ${Buffer.from(options.auth).toString('base64')}`;
  }
  const { ca, cert, key, passphrase, servername, rejectUnauthorized, agent } = options;
  const isProxied = typeof agent === 'object' && cluster?.proxyUrl !== undefined;
  return {
    headers,
    ...(ca !== undefined && { ca: ca as Exclude<Credentials['ca'], undefined> }),
    ...(cert !== undefined && { cert: cert as string | Buffer }),
    ...(key !== undefined && { key: key as string | Buffer }),
    ...(passphrase !== undefined && { passphrase }),
    ...(servername !== undefined && { servername }),
    ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
    ...(isProxied && { agent }),
  };
}

async function within(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${pluginMs / 1000} s`)), pluginMs);
  });
  try {
    await Promise.race([work, late]);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.slice(0, 500) : String(cause);
    const message = `the credentials of the kubeconfig can't be used: ${why}`;
    throw new ClusterError(0, 'CredentialsUnusable', message, { cause });
  } finally {
    clearTimeout(timer);
  }
}
