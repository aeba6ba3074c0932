/** What the commands take of the process: only cmd/ knows it. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly platform: string;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Absolute path of the Node that runs us. */
  readonly node: string;
  /** Folder of the bundles: controller.js, sidecar.js, launcher.js, demo/, page/. */
  readonly dist: string;
  readonly version: string;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Calls back with SIGINT, SIGTERM, SIGHUP; returns what stops that. */
  onSignal(handler: (signal: string) => void): () => void;
  /** Asks the person at the terminal and gives the line that was typed; absent: there is nobody to ask. */
  readonly ask?: (question: string) => Promise<string>;
  /** At once, for when ending in order takes too long. */
  exit(code: number): never;
}

export interface OutputStream {
  write(text: string): boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Something that the user has to do otherwise; printed as it is, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  /** 1: it went wrong, 2: it was asked for wrongly. */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
