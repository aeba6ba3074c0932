import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { benchFolder } from '../processes.ts';
import { path } from './link.ts';
import { bodySize, type BenchProtocol } from './setup.ts';

const run = promisify(execFile);

export interface Load {
  readonly requests: number;
  readonly rate: number;
  /** Not 2xx, not whole, or broken connections. */
  readonly failed: number;
}

/** As much as goes, by `wrk` or `h2load`; what they count of answers is what says that all were right. */
export function load(protocol: BenchProtocol, port: number, seconds: number, connections: number): Promise<Load> {
  const url = `http://127.0.0.1:${port}${path}`;
  return protocol === 'http2' || protocol === 'grpc'
    ? loadHttp2(protocol, url, seconds, connections)
    : loadHttp1(url, seconds, connections);
}

async function loadHttp1(url: string, seconds: number, connections: number): Promise<Load> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, url];
  const { stdout } = await run('wrk', args, { encoding: 'utf8', timeout: (seconds + 30) * 1000 });
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout) ?? [];
  const wrong = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  return {
    requests: Number(/(\d+) requests in/.exec(stdout)?.[1]),
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    failed: broken.slice(1).reduce((sum, each) => sum + Number(each), wrong),
  };
}

/** A quarter of the connections with four streams each. */
async function loadHttp2(protocol: 'http2' | 'grpc', url: string, seconds: number, connections: number): Promise<Load> {
  const file = join(benchFolder, 'message');
  writeFileSync(file, Buffer.from([0, 0, 0, 0, 0]));
  const isGrpc = protocol === 'grpc';
  const grpc = ['-d', file, '-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const args = ['-t1', `-c${Math.max(1, connections / 4)}`, '-m4', '-D', String(seconds), ...(isGrpc ? grpc : []), url];
  const { stdout } = await run('h2load', args, { encoding: 'utf8', timeout: (seconds + 30) * 1000 });
  const [, succeeded = '0', failed = '1', errored = '0', timedOut = '0'] =
    /requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(stdout) ?? [];
  const [, good = '0'] = /status codes: (\d+) 2xx/.exec(stdout) ?? [];
  const bytes = Number(/\((\d+)\) data/.exec(stdout)?.[1]);
  // What gRPC refuses has status 200 too, but no message.
  const whole = bytes / (isGrpc ? bodySize + 5 : bodySize);
  return {
    requests: Number(succeeded),
    rate: Number(/finished in .*?, ([\d.]+) req\/s/.exec(stdout)?.[1]),
    failed: Math.max(
      Number(failed) + Number(errored) + Number(timedOut),
      Number(succeeded) - Number(good),
      // What was under way at the end may be in one and not in the other.
      Math.ceil(Number(succeeded) - whole - connections),
    ),
  };
}
