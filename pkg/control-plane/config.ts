import type { MeshConfig } from '../catalog/snapshot.ts';
import { decodeKubernetesConfig, type KubernetesConfig } from './kubernetes-config.ts';

/** What a controller must be told at its start: a JSON file that `--config` names. Paths are absolute. */
export interface ControllerConfig {
  /** Name of the mesh, for people. */
  readonly id: string;
  /** Files and directories of YAML. */
  readonly inputs: readonly string[];
  /** Directories with one Pod object per running pod. */
  readonly podDirs?: readonly string[];
  readonly defaultNamespace?: string;
  readonly mesh: MeshConfig;
  readonly isolation: 'isolated' | 'proxy' | 'cluster';
  /** Follow a cluster; `inputs` is empty then. What the controller must be permitted: README.md, "Permissions". */
  readonly kubernetes?: KubernetesConfig;
  /** Sidecars that come with a token. */
  readonly xds?: {
    /** Path of the unix socket. */
    readonly socket: string;
    /** Written here: the roots that clients must trust. */
    readonly caFile: string;
    /** Read here: a JWK set with the keys that sign the tokens. */
    readonly tokenKeysFile: string;
  };
  /** Anybody who says who they are, in plaintext: a loopback address, `127.0.0.1:18000`. */
  readonly openXds?: string;
  /** Where the certificate authority is kept; absent: in memory, another one after a restart. */
  readonly caDirectory?: string;
  /** Lifetime of the certificates of workloads, in seconds: 60 at least, a day by default. */
  readonly leafSeconds?: number;
  /** The HTTP API and the page; on the loopback. 0: any port. */
  readonly apiPort?: number;
  /** Folder of the built page; absent: the API alone. */
  readonly pageDir?: string;
  /** Path of the unix socket that takes OTLP/HTTP. */
  readonly otlpSocket?: string;
  /** The user's own collector, which gets all spans as well. */
  readonly otlpForward?: string;
  /** build/protos.json: read when the first Envoy connects. */
  readonly protosFile: string;
}

/** Reads the configuration; throws an error that names the field. */
export function decodeControllerConfig(text: string): ControllerConfig {
  const json = JSON.parse(text) as Partial<ControllerConfig>;
  const { id, inputs, podDirs, mesh, xds, openXds, leafSeconds, apiPort, kubernetes } = json;
  check('id', typeof id === 'string' && id !== '');
  check('inputs', isTextList(inputs));
  check('podDirs', podDirs === undefined || isTextList(podDirs));
  check('mesh.mode', mesh !== undefined && ['enforce', 'shadow', 'permissive'].includes(mesh.mode));
  check('mesh.pathMatch', mesh?.pathMatch === 'full' || mesh?.pathMatch === 'start');
  check('mesh.trustDomain', /^[a-z0-9._-]{1,255}$/.test(mesh?.trustDomain ?? ''));
  check('mesh.egress', mesh?.egress === 'allow' || mesh?.egress === 'deny');
  const sampling = mesh?.tracing?.sampling ?? -1;
  check('mesh.tracing.sampling', sampling >= 0 && sampling <= 1);
  check('isolation', ['isolated', 'proxy', 'cluster'].includes(json.isolation ?? ''));
  if (xds) {
    for (const key of ['socket', 'caFile', 'tokenKeysFile'] as const) check(`xds.${key}`, isAbsolute(xds[key]));
  }
  if (openXds !== undefined) toLoopbackAddress(openXds);
  check('leafSeconds', leafSeconds === undefined || (Number.isInteger(leafSeconds) && leafSeconds >= 60));
  check('apiPort', apiPort === undefined || isPort(apiPort));
  check('protosFile', isAbsolute(json.protosFile));
  if (kubernetes === undefined) return json as ControllerConfig;
  check('inputs', inputs?.length === 0);
  check('isolation', json.isolation === 'cluster');
  return { ...(json as ControllerConfig), kubernetes: decodeKubernetesConfig(kubernetes, check) };
}

/** The address to bind for clients without authentication. Throws on any that others could reach. */
export function toLoopbackAddress(address: string): string {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(address) ?? [];
  const isLoopback = /^127(\.\d{1,3}){3}$/.test(host) || host === '[::1]' || host === 'localhost';
  if (!isLoopback || !isPort(Number(port))) {
    throw new Error(`without authentication xDS is served on a loopback address only, not on "${address}"`);
  }
  return `${host === 'localhost' ? '127.0.0.1' : host}:${port}`;
}

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 0 && port < 65_536;
const isAbsolute = (path: unknown): boolean => typeof path === 'string' && path.startsWith('/');
const isTextList = (list: unknown): boolean => Array.isArray(list) && list.every((item) => typeof item === 'string');

function check(field: string, good: boolean): void {
  if (!good) throw new Error(`controller configuration: ${field} is missing or wrong`);
}
