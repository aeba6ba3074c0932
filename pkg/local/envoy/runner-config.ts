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
