import assert from 'node:assert/strict';
import { chart, describeWith, mustRun, toFlags, type Settings } from './helm.ts';

function notes(settings: Settings = {}): string {
  const flags = ['-n', 'tulle-system', '--dry-run=client', '--hide-secret', ...toFlags(settings)];
  const out = mustRun('helm', ['install', 'tulle', chart, ...flags]);
  return out.slice(out.indexOf('NOTES:\n') + 'NOTES:\n'.length);
}

describeWith(['helm'], 'what the chart says after an install', () => {
  it('is 25 lines at most, with all that it may have to warn of', () => {
    const most = { 'tracing.jaeger.enabled': true, 'crds.install': false, 'image.controller.tag': 'latest' };
    for (const text of [notes(), notes(most)]) assert.ok(text.trimEnd().split('\n').length <= 25, text);
  }).timeout(60_000);

  it('names the mode, the trust domain, the CA and the next three commands', () => {
    const text = notes({ mode: 'enforce', trustDomain: 'example.com' });
    assert.match(text, /mode +enforce: only what a TrafficTarget allows passes/);
    assert.match(text, /trust domain +example\.com/);
    assert.match(text, /CA +Secret tulle-ca/);
    assert.match(notes({ 'ca.existingSecret': 'corporate' }), /CA +Secret corporate, yours/);
    const [, next = ''] = /Next:\n((?: {2}\S.*\n)+)/.exec(text) ?? [];
    assert.equal(next.trimEnd().split('\n').length, 3);
  }).timeout(60_000);

  it('warns of what these values bring, and of nothing else', () => {
    const warnings = (settings: Settings) => notes(settings).match(/^! .*$/gm) ?? [];
    assert.deepEqual(warnings({ replicas: 2 }), []);
    assert.match(warnings({})[0] ?? '', /One replica/);
    assert.match(warnings({ replicas: 2, 'tracing.jaeger.enabled': true })[0] ?? '', /in memory/);
    assert.match(warnings({ replicas: 2, 'crds.install': false })[0] ?? '', /CRDs must come from elsewhere/);
    const both = { replicas: 2, 'tracing.jaeger.enabled': true, 'tracing.endpoint': 'http://otel:4318' };
    assert.match(warnings(both)[0] ?? '', /the Jaeger of this chart gets none/);
  }).timeout(60_000);
});
