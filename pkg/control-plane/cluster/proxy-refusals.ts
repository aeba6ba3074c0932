import type { Problem } from '../../problem/problem.ts';
import type { AdsClientStatus } from '../../xds/ads-server.ts';

const longest = 400;

/** What sidecars refused of what they were last sent, as problems of their pods: an Event each, as for SMI objects. */
export function toRefusals(clients: readonly AdsClientStatus[]): Problem[] {
  return clients.flatMap(({ client, types }) => {
    const [namespace = '', name = ''] = (client.pod ?? '').split('/');
    if (name === '') return [];
    const resource = { apiVersion: 'v1', kind: 'Pod', namespace, name };
    return types.flatMap(({ typeUrl, nack }): Problem[] => {
      if (nack === undefined) return [];
      const type = typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
      const text = nack.length > longest ? `${nack.slice(0, longest)}…` : nack;
      return [
        {
          resource,
          field: type,
          severity: 'error',
          reason: 'ConfigRefused',
          message: `its sidecar refused the ${type} that it was sent, and goes on with what it had: ${text}`,
          fix: 'restart the pod if its sidecar is older than the control plane; else report this as a fault of the mesh',
        },
      ];
    });
  });
}
