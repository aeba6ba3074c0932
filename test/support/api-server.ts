import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findProgram } from './find-program.ts';
import { freePorts } from './free-ports.ts';

/** A Kubernetes API server of the test's own, with nothing behind it: no controllers, no nodes, so no pod ever runs. */
export interface ApiServer {
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

/** The programs without which there is none, where they are missing. */
export const missingForApiServer: readonly string[] = ['etcd', 'kube-apiserver', 'kubectl'].filter(
  (name) => findProgram(name) === undefined,
);

const run = promisify(execFile);

/** Starts etcd and an API server on loopback ports that are free; ready when this resolves. */
export async function startApiServer(): Promise<ApiServer> {
  const directory = await mkdtemp(join(tmpdir(), 'tulle-api-'));
  const processes: ChildProcess[] = [];
  const [store, peer, port] = await freePorts(3);
  const kubeconfig = join(directory, 'kubeconfig');

  const start = (program: string, args: readonly string[]): void => {
    const log = openSync(join(directory, `${program}.log`), 'a');
    processes.push(spawn(findProgram(program) as string, args, { stdio: ['ignore', log, log] }));
  };
  const stop = async (): Promise<void> => {
    for (const child of processes.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    await rm(directory, { recursive: true, force: true });
  };

  try {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const keys = { private: join(directory, 'accounts.key'), public: join(directory, 'accounts.pub') };
    await writeFile(keys.private, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    await writeFile(keys.public, publicKey.export({ type: 'spki', format: 'pem' }));
    await writeFile(join(directory, 'tokens'), 'admin-of-a-test,admin,1,system:masters\n', { mode: 0o600 });
    const certificates = join(directory, 'certificates');
    await writeFile(kubeconfig, toKubeconfig(`https://127.0.0.1:${port}`, join(certificates, 'apiserver.crt')));
    const storeUrl = `http://127.0.0.1:${store}`;
    const peerUrl = `http://127.0.0.1:${peer}`;
    start('etcd', [
      ...['--name', 'test', '--data-dir', join(directory, 'etcd'), '--log-level', 'warn', '--unsafe-no-fsync'],
      ...['--listen-client-urls', storeUrl, '--advertise-client-urls', storeUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `test=${peerUrl}`],
    ]);
    start('kube-apiserver', [
      `--etcd-servers=${storeUrl}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${certificates}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      '--authorization-mode=RBAC',
      `--token-auth-file=${join(directory, 'tokens')}`,
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      `--service-account-signing-key-file=${keys.private}`,
      `--service-account-key-file=${keys.public}`,
      // Nobody makes the account `default` of a namespace here.
      '--disable-admission-plugins=ServiceAccount',
      '--endpoint-reconciler-type=none',
      '--shutdown-delay-duration=0',
    ]);
    await untilReady(kubeconfig, directory, processes);
    return { kubeconfig, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function untilReady(kubeconfig: string, directory: string, processes: readonly ChildProcess[]): Promise<void> {
  const deadline = Date.now() + 120_000;
  const kubectl = findProgram('kubectl') as string;
  for (;;) {
    try {
      // The bootstrap of RBAC is the last thing that it does.
      await run(kubectl, ['get', '--raw', '/readyz'], { env: { ...process.env, KUBECONFIG: kubeconfig } });
      return;
    } catch (error) {
      const ended = processes.find(({ exitCode }) => exitCode !== null);
      if (ended || Date.now() > deadline) {
        const log = join(directory, 'kube-apiserver.log');
        const end = existsSync(log) ? readFileSync(log, 'utf8').slice(-2000) : '';
        throw new Error(`the API server does not come up:\n${end}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

function toKubeconfig(server: string, authority: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': authority } }],
    users: [{ name: 'admin', user: { token: 'admin-of-a-test' } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  });
}
