import assert from 'node:assert/strict';
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

const concerns = ({ rule }: Grant, resource: string): boolean => rule.resources?.includes(resource) ?? false;

describeWith(['helm'], 'what the controller may do', () => {
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

  it('lets it read one Secret, that of the CA, and write it only where the CA is its own', () => {
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
      [[['corporate'], ['get']]],
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
