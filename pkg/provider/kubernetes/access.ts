import type { Agent } from 'node:http';

/** How one request shows who sends it, and what it trusts. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly ca?: string | Buffer | readonly (string | Buffer)[];
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly passphrase?: string;
  readonly servername?: string;
  /** False only when the kubeconfig asks for it. */
  readonly rejectUnauthorized?: boolean;
  /** Of a kubeconfig with a proxy. */
  readonly agent?: Agent;
}

/** Where an API server is, and as whom it is spoken to. */
export interface Access {
  readonly server: string;
  readonly namespace: string;
  readonly context?: string;
  /** Credentials for the next request: tokens and certificates change while a process runs. */
  credentials(): Promise<Credentials>;
  /** Forgets what is remembered of credentials: the API server refused them. */
  renew(): void;
}
