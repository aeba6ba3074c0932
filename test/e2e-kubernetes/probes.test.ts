import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyObjects, isReady, podsOf, until } from '../support/kubernetes-objects.ts';
import { describeMesh, preparing } from './mesh.ts';
import { namespaceObject, openPeer, peerObjects, peerPodName } from './peers.ts';

const namespace = 'e2e-probes';
const each = { periodSeconds: 1, failureThreshold: 2 };

describeMesh('probes of injected pods, enforced', [namespace], (mesh) => {
  const apps: Readonly<Record<string, { listen: string[]; probes: object }>> = {
    'by-http': {
      listen: ['http:8080'],
      probes: {
        readinessProbe: { httpGet: { path: '/ready', port: 'web' }, ...each },
        livenessProbe: {
          httpGet: { path: '/alive', port: 8080, httpHeaders: [{ name: 'x-probe', value: 'yes' }] },
          periodSeconds: 5,
        },
        startupProbe: { httpGet: { path: '/started', port: 8080 }, ...each, failureThreshold: 60 },
      },
    },
    'by-https': {
      listen: ['https:8443'],
      probes: { readinessProbe: { httpGet: { path: '/', port: 8443, scheme: 'HTTPS' }, ...each } },
    },
    'by-tcp': {
      listen: ['tcp:9000'],
      probes: { readinessProbe: { tcpSocket: { port: 9000 }, ...each } },
    },
    'by-grpc': {
      listen: ['grpc:8082'],
      probes: {
        readinessProbe: { grpc: { port: 8082 }, ...each },
        startupProbe: { grpc: { port: 8082 }, ...each, failureThreshold: 60 },
      },
    },
    'by-exec': {
      listen: ['http:8080'],
      probes: { readinessProbe: { exec: { command: ['node', '-e', '0'] }, periodSeconds: 2, timeoutSeconds: 5 } },
    },
    'never-http': {
      listen: ['http:8080'],
      probes: { readinessProbe: { httpGet: { path: '/status/500', port: 8080 }, ...each } },
    },
    'never-tcp': {
      listen: [],
      probes: { readinessProbe: { tcpSocket: { port: 9000 }, ...each } },
    },
  };

  before(() =>
    preparing(mesh(), 'probes', [namespace], async () => {
      const { api } = mesh();
      const { cert, key } = selfSigned();
      await applyObjects(api, [
        namespaceObject(namespace, { mode: 'enforce' }),
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'tls', namespace },
          type: 'kubernetes.io/tls',
          data: { 'tls.crt': cert.toString('base64'), 'tls.key': key.toString('base64') },
        },
      ]);
      await applyObjects(
        api,
        Object.entries(apps).flatMap(([name, { listen, probes }]) =>
          peerObjects({
            namespace,
            name,
            listen,
            ports: [{ name: 'web', containerPort: 8080 }],
            container: { ...probes, volumeMounts: [{ name: 'tls', mountPath: '/tls' }] },
            pod: { volumes: [{ name: 'tls', secret: { secretName: 'tls' } }] },
          }),
        ),
      );
    }),
  );

  for (const name of ['by-http', 'by-https', 'by-tcp', 'by-grpc', 'by-exec'])
    it(`${name.replace('-', ' ')}: the pod becomes Ready`, async () => {
      await peerPodName(mesh().api, namespace, name, 90);
    });

  const readiness = async (name: string): Promise<boolean> => {
    const [pod] = await podsOf(mesh().api, namespace, `app=${name}`);
    return pod !== undefined && isReady(pod);
  };

  for (const [name, spec] of [
    ['by-http', 'http:8080'],
    ['by-tcp', 'tcp:9000'],
  ] as const)
    it(`${name.replace('-', ' ')}: the pod is not Ready while its app is deaf`, async () => {
      const peer = await openPeer(mesh().api, namespace, name);
      await peer.order('/deafen', { spec });
      await until(`${name} not Ready`, 30, async () => !(await readiness(name)));
      await peer.order('/listen', { spec });
      await until(`${name} Ready again`, 30, () => readiness(name));
    });

  it('an app that answers 500, or does not listen, is never Ready', async () => {
    assert.deepEqual([await readiness('never-http'), await readiness('never-tcp')], [false, false]);
    const pods = await podsOf(mesh().api, namespace, 'app in (never-http, never-tcp)');
    for (const pod of pods)
      assert.ok(
        pod.status?.containerStatuses?.every(({ state }) => state?.['running'] !== undefined),
        'it runs all the same',
      );
  });

  it('no app was restarted by a probe', async () => {
    const pods = await podsOf(mesh().api, namespace);
    const restarts = pods.flatMap(({ metadata, status }) =>
      (status?.containerStatuses ?? []).filter(({ restartCount }) => restartCount > 0).map(() => metadata.name),
    );
    assert.deepEqual(restarts, []);
  });
});

function selfSigned(): { cert: Buffer; key: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'tulle-e2e-'));
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  try {
    const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=probe'];
    execFileSync('openssl', ['req', '-x509', ...options, '-days', '2', '-out', cert, '-keyout', key], {
      stdio: 'ignore',
    });
    return { cert: readFileSync(cert), key: readFileSync(key) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
