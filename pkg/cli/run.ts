import { join } from 'node:path';
import { askSupervisor } from '../local/control-client.ts';
import { localPrograms } from '../local/local-programs.ts';
import type { JoinTicket } from '../local/pod-starter.ts';
import { runVisitor } from '../local/visitor.ts';
import { CliError, type CliContext } from './context.ts';
import { findMesh } from './find-mesh.ts';
import { createSidecars } from './sidecars.ts';

export interface RunFlags {
  readonly as: string;
  readonly file?: readonly string[];
}

/** `tulle run --as NAMESPACE/SERVICEACCOUNT -- CMD…`: the exit code is the program's. */
export async function runAs(context: CliContext, command: readonly string[], { as, file }: RunFlags): Promise<number> {
  const { namespace, serviceAccount } = parseAccount(as);
  const mesh = findMesh(context, file);
  const { env, cwd, node, dist } = context;
  const [name = '', ...args] = command;
  const program = localPrograms(env['PATH'] ?? '', node, new Map()).findProgram(name, cwd);
  if (program === undefined) throw new CliError(`${name}: there is no such program on the PATH`, 2);
  const place = await askSupervisor<JoinTicket>(join(mesh.path, 'supervisor.sock'), {
    type: 'join',
    namespace,
    serviceAccount,
  });
  const ticket = place.value;
  const run = { file: (...parts: string[]) => join(mesh.path, ...parts) };
  const isReady = createSidecars({ run, node, dist, redirect: 'none', env: {}, findEnvoy: () => '' }).get(
    ticket.sidecar,
  )?.isReady;
  if (!isReady) throw new CliError(`the mesh has sidecars "${ticket.sidecar}", which this tulle does not know`);
  const end = new AbortController();
  // A terminal's Ctrl-C reaches the program itself; we end when it does.
  const stopListening = context.onSignal((signal) => signal !== 'SIGINT' && end.abort());
  let over = false;
  let meshEnded = false;
  // Without its mesh it would go on for ever with the last policy, and its directory may be cleared away.
  void place.closed.then(() => {
    if (over) return;
    meshEnded = true;
    end.abort();
  });
  try {
    const given = Object.fromEntries(
      Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    const { code, failure } = await runVisitor({ ticket, program, args, env: given, cwd, isReady, signal: end.signal });
    if (meshEnded) throw new CliError('the mesh has ended, and the program with it');
    if (failure !== undefined) throw new CliError(failure);
    return code;
  } finally {
    over = true;
    stopListening();
    place.close();
  }
}

function parseAccount(text: string): { namespace: string; serviceAccount: string } {
  const [, namespace, serviceAccount] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(text) ?? [];
  if (namespace === undefined || serviceAccount === undefined) {
    throw new CliError(`--as wants NAMESPACE/SERVICEACCOUNT, not "${text}"`, 2);
  }
  return { namespace, serviceAccount };
}
