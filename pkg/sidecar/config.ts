/** What a sidecar must be told at its start: a JSON file that `--config` names. */
export interface SidecarConfig {
  /** `namespace/name` of the pod. */
  readonly pod: string;
  /** `namespace/Kind/name` of what made it; its name is `service.name` of the spans. */
  readonly owner: string;
  readonly xds: {
    /** A target of gRPC: `unix:/run/x/xds.sock`. */
    readonly address: string;
    /** File with the roots of the control plane; absent: plaintext, for a control plane without authentication. */
    readonly ca?: string;
    /** File with the bearer token, read at each connect. */
    readonly tokenFile?: string;
  };
  /** Absent: a client that serves nothing. */
  readonly inbound?: {
    /** Where other sidecars reach a port: `/run/x/p/cart/in-{port}.sock`. */
    readonly socketTemplate: string;
    readonly appHost: string;
    /** The app's real port, by the workload's, where they differ (proxy mode). */
    readonly appPorts?: Readonly<Record<string, number>>;
  };
  readonly outbound: RedirectConfig | ProxyConfig;
  /** Path of the unix socket of the admin API. */
  readonly admin: string;
  /** Receivers of OTLP/HTTP: `unix:/run/x/otlp.sock`, `http://127.0.0.1:4318`. */
  readonly otlp: readonly string[];
  /** A longest time for what is under way at shutdown, in milliseconds. */
  readonly drainMillis?: number;
}

export interface RedirectConfig {
  readonly kind: 'redirect';
  readonly redirect: 'iptables' | 'nft' | 'none';
  /** Kept up to date with the names of the mesh, in place; absent: none. */
  readonly hostsFile?: string;
  /** The pod's own line in it. */
  readonly self?: { readonly ip: string; readonly names: readonly string[] };
  /** What isn't of the mesh is taken too, and names are answered; absent: the network of the pod refuses it. */
  readonly outside?: {
    /** Ranges of the mesh (`10.96.0.0/12`): what isn't there is refused, and not looked for outside. */
    readonly inside: readonly string[];
    /** Unix socket of the one that dials for this sidecar; absent: there is no way out. */
    readonly socket?: string;
  };
}

export interface ProxyConfig {
  readonly kind: 'proxy';
  /** On 127.0.0.1; 0: any. */
  readonly port: number;
  readonly secret: string;
  /** Loopback ports of TCP services that the app was told of already: key `namespace/name:port`, port. */
  readonly tcp?: readonly { readonly service: string; readonly port: number }[];
}

/** Longest path that a unix socket may have on Linux and macOS alike. */
const maxSocketPath = 103;

/** Reads the configuration; throws an error that names the field. */
export function decodeSidecarConfig(text: string): SidecarConfig {
  const json = JSON.parse(text) as SidecarConfig;
  check('pod', /^[^/]+\/[^/]+$/.test(json.pod));
  check('owner', typeof json.owner === 'string');
  check('xds.address', typeof json.xds?.address === 'string');
  check('admin', typeof json.admin === 'string' && json.admin.length <= maxSocketPath);
  check('otlp', Array.isArray(json.otlp) && json.otlp.every((url) => typeof url === 'string'));
  const { inbound, outbound } = json;
  if (inbound) {
    check('inbound.socketTemplate', isSocketTemplate(inbound.socketTemplate));
    check('inbound.appHost', typeof inbound.appHost === 'string');
  }
  check('outbound.kind', outbound?.kind === 'redirect' || outbound?.kind === 'proxy');
  if (outbound.kind === 'redirect') {
    check('outbound.redirect', ['iptables', 'nft', 'none'].includes(outbound.redirect));
    const { inside = [] } = outbound.outside ?? {};
    check('outbound.outside.inside', Array.isArray(inside) && inside.every(isRange));
  } else {
    check('outbound.port', Number.isInteger(outbound.port) && outbound.port >= 0 && outbound.port < 65536);
    check('outbound.secret', typeof outbound.secret === 'string' && outbound.secret !== '');
  }
  return json;
}

function isRange(range: unknown): boolean {
  return typeof range === 'string' && /^[0-9]{1,3}(\.[0-9]{1,3}){3}\/[0-9]{1,2}$/.test(range);
}

function isSocketTemplate(template: unknown): boolean {
  return (
    typeof template === 'string' && template.includes('{port}') && toSocketPath(template, 65535).length <= maxSocketPath
  );
}

/** The path of a port's socket; a leading `unix:` is dropped. */
export function toSocketPath(template: string, port: number): string {
  return template.replace(/^unix:/, '').replaceAll('{port}', String(port));
}

function check(field: string, good: boolean): void {
  if (!good) throw new Error(`sidecar configuration: ${field} is missing or wrong`);
}
