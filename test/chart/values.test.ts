import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { chart, configOf, describeWith, run, template, toFlags, type Settings } from './helm.ts';

interface Schema {
  readonly type?: string;
  readonly $ref?: string;
  readonly additionalProperties?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly definitions?: Readonly<Record<string, Schema>>;
  readonly description?: string;
}

const schema = JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8')) as Schema;
const values = parse(readFileSync(join(chart, 'values.yaml'), 'utf8')) as Readonly<Record<string, unknown>>;

function resolve(part: Schema): Schema {
  const name = part.$ref?.replace('#/definitions/', '');
  return name === undefined ? part : { ...schema.definitions?.[name], ...part };
}

function* walk(part: Schema, at: string): Generator<readonly [string, Schema]> {
  yield [at, part];
  for (const [key, child] of Object.entries(part.properties ?? {})) {
    yield* walk(resolve(child), at === '' ? key : `${at}.${key}`);
  }
}

/** `object` and `text` are what the user wrote; the answer names the value that is wrong. */
function refusal(settings: Settings): string {
  const { status, stderr } = run('helm', ['template', 'tulle', chart, ...toFlags(settings)]);
  assert.notEqual(status, 0, `${JSON.stringify(settings)} is taken`);
  return stderr;
}

describe('the values of the chart', () => {
  it('are all in the schema, and all of the schema has a value', () => {
    for (const [at, part] of walk(schema, '')) {
      if (part.properties === undefined) continue;
      const here = at
        .split('.')
        .filter(Boolean)
        .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], values);
      // What Helm or a user adds has no default.
      const optional = /^(resources|injection\.(r|initR)esources)(\.|$)/.test(at);
      const known = Object.keys(part.properties).filter((key) => key !== 'global');
      if (!optional) assert.deepEqual(Object.keys(here ?? {}).sort(), known.sort(), at);
    }
  });

  it('can have no key that is not known, at any depth', () => {
    // Names of labels, of Kubernetes' own structures and of Helm's.
    const open = /^(global|nodeSelector|affinity|metrics\.serviceMonitor\.labels)$/;
    for (const [at, part] of walk(schema, '')) {
      if (part.type === 'object' && !open.test(at)) assert.equal(part.additionalProperties, false, at);
    }
  });

  it('are all in the table of docs/kubernetes.md', () => {
    const page = readFileSync(join(chart, '../../docs/kubernetes.md'), 'utf8');
    for (const [at, part] of walk(schema, '')) {
      if (at === '' || at === 'global' || (part.properties && !/^(resources|image\.\w+)$/.test(at))) continue;
      const listed = at
        .replace(/^(image\.(?:controller|sidecar|jaeger))\..*$/, '$1')
        .replace(/(resources)\..*$/i, '$1');
      assert.ok(page.includes(`\`${listed}\``), listed);
    }
  });

  it('each say what they are for', () => {
    for (const [at, part] of walk(schema, '')) {
      const isLeaf = at !== '' && part.properties === undefined && !/resources\.(requests|limits)/i.test(at);
      if (isLeaf && !/^image\.\w+\./.test(at)) assert.ok(resolve(part).description ?? /resources/i.exec(at), at);
    }
  });
});

describeWith(['helm'], 'wrong values of the chart', () => {
  const wrong: readonly (readonly [Settings, RegExp])[] = [
    [{ 'polcy.mode': 'enforce' }, /polcy/],
    [{ mode: 'strict' }, /'\/mode'.*'permissive', 'shadow', 'enforce'/],
    [{ egress: true }, /'\/egress'/],
    [{ meshName: 'Two words' }, /'\/meshName'/],
    [{ trustDomain: 'Example.com' }, /'\/trustDomain'/],
    [{ replicas: 0 }, /'\/replicas'/],
    [{ 'image.sidecar.name': 'x' }, /'\/image\/sidecar'.*'name'/],
    [{ 'image.sidecar.digest': 'sha256:short' }, /'\/image\/sidecar\/digest'/],
    [{ 'image.pullPolicy': 'Sometimes' }, /'\/image\/pullPolicy'/],
    [{ 'ca.leafLifetime': '1 day' }, /'\/ca\/leafLifetime'/],
    [{ 'ca.leafLifetime': '59s' }, /ca\.leafLifetime: 59s is less than a minute/],
    [{ 'tracing.sampling': 2 }, /'\/tracing\/sampling'/],
    [{ 'tracing.sampling': '1.5' }, /'\/tracing\/sampling'/],
    [{ 'tracing.endpoint': 'jaeger:4318' }, /'\/tracing\/endpoint'/],
    [{ 'injection.logLevel': 'loud' }, /'\/injection\/logLevel'/],
    [{ 'injection.resources.requests.cpu': 'a lot' }, /'\/injection\/resources\/requests\/cpu'/],
    [{ 'injection.initResources.limits.cpu': '-1' }, /'\/injection\/initResources\/limits\/cpu'/],
    [{ 'injection.resources.requests.memry': '1Mi' }, /memry/],
    [{ 'injection.webhookTimeoutSeconds': 31 }, /'\/injection\/webhookTimeoutSeconds'/],
    [{ 'crds.install': 'yes' }, /'\/crds\/install'/],
    [{ 'metrics.serviceMonitor.intervall': '30s' }, /intervall/],
    [{ 'autoscaling.enabled': true, 'autoscaling.minReplicas': 9 }, /minReplicas is more than/],
  ];
  for (const [settings, message] of wrong) {
    it(`${JSON.stringify(settings)}: refused by name`, () => {
      assert.match(refusal(settings), message);
    }).timeout(60_000);
  }

  it('are not those of a chart that has this one as a part', () => {
    assert.equal(run('helm', ['template', 'tulle', chart, '--set', 'global.anything=1']).status, 0);
  }).timeout(60_000);
});

describeWith(['helm'], 'values of the chart', () => {
  it('take lifetimes in seconds, minutes, hours and days', () => {
    const seconds = (leafLifetime: string) => configOf(template({ 'ca.leafLifetime': leafLifetime })).leafSeconds;
    assert.deepEqual(['90s', '5m', '24h', '7d'].map(seconds), [90, 300, 86_400, 604_800]);
  }).timeout(60_000);

  it('take a share as a number and as the text that --set makes of it', () => {
    const sampling = (value: number) => configOf(template({ 'tracing.sampling': value })).mesh.tracing.sampling;
    assert.deepEqual([0, 0.01, 0.5, 1].map(sampling), [0, 0.01, 0.5, 1]);
  }).timeout(60_000);

  it('say whether tokens of pods count from their addresses alone', () => {
    const verified = (settings: Settings = {}) => configOf(template(settings)).kubernetes.verifyPeerAddress;
    assert.deepEqual([verified(), verified({ 'controller.verifyPeerAddress': false })], [true, false]);
  }).timeout(60_000);

  it('say whose CA it is', () => {
    const { caSecret, caManaged } = configOf(template({ 'ca.existingSecret': 'corporate' })).kubernetes;
    assert.deepEqual([caSecret, caManaged], ['corporate', false]);
    const own = configOf(template()).kubernetes;
    assert.deepEqual([own.caSecret, own.caManaged], ['tulle-ca', true]);
  }).timeout(60_000);
});
