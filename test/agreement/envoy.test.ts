import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { findEnvoy } from '../../pkg/local/envoy/find-envoy.ts';
import { makeCall } from '../conformance/envoy-calls.ts';
import { type EnvoyMesh, startEnvoyMesh } from '../conformance/envoy-mesh.ts';
import { type DecidedCall, describeTrial, holdAgreement, trials } from './sidecar-calls.ts';

const requests = Number(process.env['AGREEMENT_REQUESTS'] ?? 5_000);
const seed = Number(process.env['AGREEMENT_SEED'] ?? 1);
/**
 * Runs when asked for: some calls still end otherwise through Envoy than they are decided (methods that HTTP/1.1 knows and
 * Envoy does not), and a span that never comes holds the rest up.
 */
const asked = process.env['AGREEMENT_ENVOY'] === '1';
const callsPerMesh = 60;
/** Envoy draws lots: with so many calls a share is within `tolerance` but once in a million. */
const sharedCalls = 60;
const tolerance = 0.34;
/** Connections are made one at a time, each awaited in the log: a few, to see that all ways are taken that there are. */
const sharedConnections = 12;
const tcpTolerance = 0.8;

/** What becomes of a connection of a peer without a sidecar is in nobody's log that its test could read. */
function isUntold({ call }: DecidedCall): boolean {
  return call.from === undefined && call.protocol === 'tcp';
}

/** Over HTTP/1.1 and HTTP/2 in turn, on new connections. */
const bothVersions = 4;

describe('decide and Envoy (AGREEMENT_ENVOY=1)', () => {
  let mesh: EnvoyMesh | undefined;

  before(async function () {
    this.timeout(600_000);
    if (!asked) return this.skip();
    const found = findEnvoy({
      path: process.env['PATH'] ?? '',
      cache: join(homedir(), '.cache', 'tulle'),
      fetch: true,
    });
    if (!found) return this.skip();
    mesh = await startEnvoyMesh(found.program);
  });

  after(() => mesh?.stop());

  it(`agree on ${requests} random requests (AGREEMENT_SEED=${seed})`, async function () {
    this.timeout(1_800_000);
    const running = mesh as EnvoyMesh;
    const failures: string[] = [];
    let made = 0;
    for (const trial of trials(seed, callsPerMesh)) {
      const clients = [...new Set(trial.calls.flatMap(({ call }) => call.from ?? []))];
      const loaded = await running.load(trial.facts.model, clients);
      for (const decided of trial.calls) {
        if (isUntold(decided)) continue;
        const isTcp = decided.call.protocol === 'tcp';
        const times = decided.shared ? (isTcp ? sharedConnections : sharedCalls) : isTcp ? 1 : bothVersions;
        made += times;
        try {
          holdAgreement(
            await makeCall(running, loaded, decided.call, times),
            decided,
            isTcp ? tcpTolerance : tolerance,
          );
        } catch (error) {
          failures.push(describeTrial(trial, decided, error));
        }
      }
      if (made >= requests || failures.length > 20) break;
    }
    assert.deepEqual(failures, []);
  });
});
