import type { Sentence } from './sentence.ts';

const later = 'an aggregated API of a cluster; comes with Kubernetes';

function notYet(section: string, says: string): Sentence {
  return { section, says, decision: 'planned', result: 'not yet', why: later, tests: [] };
}

/** Traffic Metrics, v1alpha1: an API that is served, not an object that is read. */
export const metricsSentences: readonly Sentence[] = [
  notYet('Specification', 'Metrics belong to a resource; those of a resource with pods are aggregates of its pods'),
  notYet('Specification', 'Metrics are scoped to an edge: what the resource received from, or sent to, another one'),
  notYet(
    'Specification',
    'An edge that names no resource means all traffic; one with a namespace or kind only, a part',
  ),
  notYet(
    'Specification',
    'Edges exist between resources that exchanged traffic; they can be listed, not asked for singly',
  ),
  notYet('Specification', 'Resources can be listed, got, and filtered by a label selector'),
  notYet('TrafficMetrics', 'An object has latency percentiles, counts of successes and failures, a time and a window'),
  notYet('Edge', 'An edge says in which direction and on which side it was measured'),
  notYet('TrafficMetricsList', 'A list names the kind, and the selector when there is one'),
  notYet('TrafficMetricsList', 'A selector filters the items, not what they measure'),
  notYet('TrafficMetricsList', 'The edges of a resource are its sub-resource'),
  notYet('Kubernetes API', 'The API is exposed by an APIService and lists its resources, eleven kinds'),
  notYet('Traffic splits', 'A split has one object for each backend, with the root, the name and the weight'),
  notYet('RBAC', 'Access is given by roles on the resources and on their edges'),
];
