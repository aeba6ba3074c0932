/** What the program beside an Envoy is told at its start: a JSON file that `--config` names. */
export interface EnvoyRunnerConfig {
  /** `namespace/name` of the pod. */
  readonly pod: string;
  readonly envoy: {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    /** Path of the unix socket of its admin API. */
    readonly admin: string;
  };
  readonly drainMillis: number;
  /** Isolated mode: what leads the app's connections and names to Envoy. */
  readonly redirect?: {
    readonly tool: 'iptables' | 'nft' | 'none';
    readonly port: number;
    readonly hostsFile: string;
    readonly self: { readonly ip: string; readonly names: readonly string[] };
    readonly xds: {
      readonly address: string;
      readonly ca: string;
      readonly tokenFile: string;
    };
  };
}
