import type { ReflectorStatus } from '../../provider/kubernetes/reflected.ts';

const unread = 'the cluster has not been read yet';

/** What is not read yet, and why: whoever asks is not known, so that no more than the kind of failure is said. */
export function toUnread(watches: readonly Pick<ReflectorStatus, 'resource' | 'synced' | 'error'>[]): string {
  const waiting = watches
    .filter(({ synced }) => !synced)
    .map(({ resource, error }) => (error === undefined ? resource : `${resource} (${error.reason})`));
  return waiting.length === 0 ? unread : `${unread}: ${waiting.join(', ')}`;
}
