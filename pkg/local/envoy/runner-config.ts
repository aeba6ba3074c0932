import { isIPv4 } from 'node:net';

/** What the program beside an Envoy is told at its start: a JSON file that `--config` names. */
export interface EnvoyRunnerConfig {
  /** `namespace/name` of the pod. */
  readonly pod: string;
  /** `namespace/serviceaccount` */
  readonly account: string;
  readonly envoy: {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    /** Path of the unix socket of its admin API. */
    readonly admin: string;
  };
  /** `service.name` and so on, of its spans. */
  readonly resource: Readonly<Record<string, string>>;
  /** Receivers of OTLP/HTTP. */
  readonly otlp: readonly string[];
  readonly xds: { readonly address: string; readonly ca: string; readonly tokenFile: string };
  readonly drainMillis: number;
  /** Isolated mode: what leads the app's connections to Envoy. */
  readonly redirect?: { readonly tool: 'iptables' | 'nft' | 'none'; readonly port: number; readonly ownIp: string };
  /** Isolated mode: where the names of the mesh are kept. */
  readonly hosts?: {
    readonly file: string;
    readonly self: { readonly ip: string; readonly names: readonly string[] };
  };
}

/** Reads the configuration; throws an error that names the field. */
export function decodeEnvoyRunnerConfig(text: string): EnvoyRunnerConfig {
  const json = JSON.parse(text) as EnvoyRunnerConfig;
  const { pod, account, envoy, resource, otlp, xds, drainMillis, redirect, hosts } = json;
  check('pod', isPair(pod));
  check('account', isPair(account));
  check('envoy.program', isText(envoy?.program));
  check('envoy.args', isTexts(envoy.args));
  check('envoy.env', isTextMap(envoy.env));
  check('envoy.admin', isText(envoy.admin));
  check('resource', isTextMap(resource));
  check('otlp', isTexts(otlp));
  check('xds.address', isText(xds?.address));
  check('xds.ca', isText(xds.ca));
  check('xds.tokenFile', isText(xds.tokenFile));
  check('drainMillis', Number.isInteger(drainMillis) && drainMillis >= 0);
  if (redirect !== undefined) {
    check('redirect.tool', ['iptables', 'nft', 'none'].includes(redirect?.tool));
    check('redirect.port', Number.isInteger(redirect.port) && redirect.port > 0 && redirect.port < 65_536);
    check('redirect.ownIp', isIPv4(redirect.ownIp));
  }
  if (hosts !== undefined) {
    check('hosts.file', isText(hosts?.file));
    check('hosts.self.ip', isIPv4(hosts.self?.ip));
    check('hosts.self.names', isTexts(hosts.self.names));
  }
  return json;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}

function isTextMap(value: unknown): boolean {
  return typeof value === 'object' && value !== null && isTexts(Object.values(value));
}

function isPair(value: unknown): boolean {
  return isText(value) && /^[^/]+\/[^/]+$/.test(value);
}

function check(field: string, good: boolean): void {
  if (!good) throw new Error(`configuration of the program beside Envoy: ${field} is missing or wrong`);
}
