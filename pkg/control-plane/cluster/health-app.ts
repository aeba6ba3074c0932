import type { RequestListener } from 'node:http';
import { metricsContentType, type Metrics } from '../../observability/metrics.ts';

export interface HealthAppOptions {
  /** What is missing until requests of the mesh can be served; empty: nothing. */
  readonly missing: () => readonly string[];
  readonly metrics: Metrics;
  readonly version: VersionInfo;
}

export interface VersionInfo {
  readonly version: string;
  readonly commit?: string;
  readonly built?: string;
}

/** Newest version of each kind, under OSM's names: its CLI and dashboards ask for them. */
const smiVersions = {
  HTTPRouteGroup: 'specs.smi-spec.io/v1alpha4',
  TCPRoute: 'specs.smi-spec.io/v1alpha4',
  TrafficSplit: 'split.smi-spec.io/v1alpha4',
  TrafficTarget: 'access.smi-spec.io/v1alpha3',
};

/** What probes, Prometheus and OSM's tools ask: paths and answers as OSM has them. Everything is made from memory. */
export function createHealthApp({ missing, metrics, version }: HealthAppOptions): RequestListener {
  const answers: Readonly<Record<string, () => [status: number, type: string, body: string]>> = {
    '/health/alive': () => [200, 'text/plain', 'Health OK\n'],
    '/health/ready': () => {
      const reasons = missing();
      return reasons.length === 0
        ? [200, 'text/plain', 'Health OK\n']
        : [503, 'text/plain', `not ready: ${reasons.join('; ')}\n`];
    },
    '/metrics': () => [200, metricsContentType, metrics.render()],
    '/version': () => [200, 'application/json', toJson(toVersion(version))],
    '/smi/version': () => [200, 'application/json', toJson(smiVersions)],
  };
  return (request, response) => {
    const [path = '/'] = (request.url ?? '/').split('?');
    const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const [status, type, body] = !answer
      ? [404, 'text/plain', 'not found\n']
      : isRead
        ? answer()
        : [405, 'text/plain', 'only GET\n'];
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
}

function toVersion({ version, commit = '', built = '' }: VersionInfo): object {
  return { version, git_commit: commit, build_date: built };
}

const toJson = (value: object): string => `${JSON.stringify(value)}\n`;
