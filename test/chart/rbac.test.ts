import assert from 'node:assert/strict';
import { providerPermissions } from '../../pkg/provider/kubernetes/resources.ts';
import { describeWith, template, type Rule, type Settings } from './helm.ts';

interface Grant {
  readonly role: string;
  readonly rule: Rule;
}

/** Of the controller: the role that users get by aggregation is another matter. */
function grants(settings: Settings = {}): Grant[] {
  return template(settings)
    .filter(({ kind, metadata }) => /^(Cluster)?Role$/.test(kind) && metadata.name.startsWith('tulle-controller'))
    .flatMap(({ kind, rules }) => rules.map((rule) => ({ role: kind, rule })));
}

/** One line for each thing that is allowed, to compare. */
function words(role: string, rules: readonly Rule[]): string[] {
  return rules.flatMap(({ apiGroups = [], resources = [], resourceNames = ['*'], nonResourceURLs = [], verbs }) =>
    verbs.flatMap((verb) => [
      ...nonResourceURLs.map((url) => `${role}: ${verb} ${url}`),
      ...apiGroups.flatMap((group) =>
        resources.flatMap((name) => resourceNames.map((one) => `${role}: ${verb} ${group}/${name} ${one}`)),
      ),
    ]),
  );
}

/** Beside what the provider reads: pkg/control-plane/README.md, "Permissions". */
const ofControlPlane = [
  // A namespace that a webhook is called for before it was seen.
  ...words('ClusterRole', [{ apiGroups: [''], resources: ['namespaces'], verbs: ['get'] }]),
  ...words('ClusterRole', [
    {
      apiGroups: [''],
      resources: ['configmaps'],
      resourceNames: ['tulle-trust'],
      verbs: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
    },
    { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
    {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: ['mutatingwebhookconfigurations'],
      resourceNames: ['tulle-injector-osm'],
      verbs: ['get', 'patch'],
    },
    { nonResourceURLs: ['/.well-known/openid-configuration', '/openid/v1/jwks'], verbs: ['get'] },
  ]),
  ...words('Role', [
    { apiGroups: [''], resources: ['secrets'], resourceNames: ['tulle-ca'], verbs: ['get', 'create', 'patch'] },
    {
      apiGroups: ['coordination.k8s.io'],
      resources: ['leases'],
      resourceNames: ['tulle-controller'],
      verbs: ['get', 'create', 'patch', 'update', 'delete'],
    },
    {
      apiGroups: ['config.openservicemesh.io'],
      resources: ['meshconfigs'],
      resourceNames: ['osm-mesh-config'],
      verbs: ['get', 'create', 'patch'],
    },
    { apiGroups: [''], resources: ['services'], resourceNames: ['tulle-controller'], verbs: ['get'] },
  ]),
];

const concerns = ({ rule }: Grant, resource: string): boolean => rule.resources?.includes(resource) ?? false;

describeWith(['helm'], 'what the controller may do', () => {
  it('is what the provider reads and the control plane keeps: no more, no less', () => {
    const needed = new Set([
      ...words('ClusterRole', providerPermissions.clusterRole),
      ...words('Role', providerPermissions.controlNamespaceRole),
      ...ofControlPlane,
    ]);
    const given = grants().flatMap(({ role, rule }) => words(role, [rule]));
    assert.deepEqual([...new Set(given)].sort(), [...needed].sort());
  }).timeout(60_000);

  it('has no wildcard', () => {
    for (const { rule } of grants()) {
      const all = [
        ...(rule.apiGroups ?? []),
        ...(rule.resources ?? []),
        ...(rule.nonResourceURLs ?? []),
        ...rule.verbs,
      ];
      assert.ok(
        all.every((word) => !word.includes('*')),
        JSON.stringify(rule),
      );
    }
  }).timeout(60_000);

  it('lets it read the Secret of the CA, beside another one its own, and write it only where the CA is its own', () => {
    const secrets = grants().filter((grant) => concerns(grant, 'secrets'));
    assert.deepEqual(secrets, [
      {
        role: 'Role',
        rule: {
          apiGroups: [''],
          resources: ['secrets'],
          resourceNames: ['tulle-ca'],
          verbs: ['get', 'create', 'patch'],
        },
      },
    ]);
    const foreign = grants({ 'ca.existingSecret': 'corporate' }).filter((grant) => concerns(grant, 'secrets'));
    assert.deepEqual(
      foreign.map(({ rule }) => [rule.resourceNames, rule.verbs]),
      [[['corporate', 'tulle-ca'], ['get']]],
    );
  }).timeout(60_000);

  it('lets it write nothing but Events that it can not be held to by name', () => {
    const writes = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);
    for (const { rule } of grants()) {
      if (!rule.verbs.some((verb) => writes.has(verb))) continue;
      if (rule.resources?.join() === 'events') continue;
      assert.ok(rule.resourceNames?.length === 1, JSON.stringify(rule));
    }
  }).timeout(60_000);

  it('gives it no power over accounts, roles, pods or nodes', () => {
    const writes = ['create', 'update', 'patch', 'delete', 'bind', 'escalate', 'impersonate'];
    for (const { rule } of grants()) {
      for (const resource of ['pods', 'serviceaccounts', 'namespaces', 'services']) {
        if (rule.resources?.includes(resource)) assert.ok(!rule.verbs.some((verb) => writes.includes(verb)));
      }
      const never = /roles|bindings$|nodes|pods\/|token|certificatesigning|customresourcedefinitions/;
      assert.ok(!(rule.resources ?? []).some((name) => never.test(name) && name !== 'identitybindings'));
    }
  }).timeout(60_000);
});
