/** Why the API server did not do what was asked. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  /** HTTP status; 0: there was no whole answer. */
  readonly status: number;
  /**
   * `reason` of the Status object (`Forbidden`, `NotFound`, `Expired`, `AlreadyExists`, `Conflict`, …), or ours:
   * `Unreachable`, `Timeout`, `Aborted`, `TooLarge`, `Malformed`, `Truncated`, `KubeconfigInvalid`, `CredentialsUnusable`.
   */
  readonly reason: string;
  /** What a 429 or 503 asks for. */
  readonly retryAfterSeconds?: number;

  constructor(
    status: number,
    reason: string,
    message: string,
    { cause, retryAfterSeconds }: { readonly cause?: unknown; readonly retryAfterSeconds?: number | undefined } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.reason = reason;
    if (retryAfterSeconds !== undefined) this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Is it the answer that there is no such object, kind or version? */
export function isNotFound(error: unknown): boolean {
  return error instanceof ClusterError && error.status === 404;
}

/** Makes an error of what isn't 2xx: the API server sends a Status object, what stands before it may send anything. */
export function toClusterError(
  status: number,
  request: string,
  body: string,
  retryAfter: string | undefined,
): ClusterError {
  const { reason, message } = readStatus(body);
  const seconds = Number(retryAfter);
  return new ClusterError(status, reason ?? reasonOf(status), `${request}: ${message ?? `the answer is ${status}`}`, {
    retryAfterSeconds: retryAfter !== undefined && Number.isFinite(seconds) ? Math.max(0, seconds) : undefined,
  });
}

function readStatus(body: string): { reason?: string; message?: string } {
  try {
    const status: unknown = JSON.parse(body);
    if (typeof status !== 'object' || status === null || !('kind' in status) || status.kind !== 'Status') return {};
    const { reason, message } = status as { reason?: unknown; message?: unknown };
    return {
      ...(typeof reason === 'string' && reason !== '' && { reason }),
      ...(typeof message === 'string' && message !== '' && { message: message.slice(0, 2000) }),
    };
  } catch {
    return {};
  }
}

function reasonOf(status: number): string {
  const known: Readonly<Record<number, string>> = {
    401: 'Unauthorized',
    403: 'Forbidden',
    404: 'NotFound',
    409: 'Conflict',
    410: 'Gone',
    429: 'TooManyRequests',
  };
  return known[status] ?? (status >= 500 ? 'InternalError' : 'Unknown');
}
