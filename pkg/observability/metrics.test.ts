import assert from 'node:assert/strict';
import { Metrics } from './metrics.ts';

describe('Metrics', () => {
  it('renders counters and gauges in the text format', () => {
    const metrics = new Metrics();
    const requests = metrics.counter('tulle_requests_total', 'Requests', ['code']);
    const streams = metrics.gauge('tulle_xds_streams', 'Open streams');

    requests.inc({ code: '200' });
    requests.child({ code: '200' }).inc(2);
    requests.inc({ code: 'a"b\\c\n' });
    streams.set(3);
    streams.add(-1);

    assert.equal(
      metrics.render(),
      [
        '# HELP tulle_requests_total Requests',
        '# TYPE tulle_requests_total counter',
        'tulle_requests_total{code="200"} 3',
        'tulle_requests_total{code="a\\"b\\\\c\\n"} 1',
        '# HELP tulle_xds_streams Open streams',
        '# TYPE tulle_xds_streams gauge',
        'tulle_xds_streams 2',
        '',
      ].join('\n'),
    );
  });

  it('renders histograms with cumulative buckets', () => {
    const metrics = new Metrics();
    const seconds = metrics.histogram('d_seconds', 'D', ['route'], [0.1, 1]);

    for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value, { route: '/' });

    assert.match(metrics.render(), /le="0.1"} 2\nd_seconds_bucket{route="\/",le="1"} 3\n.*le="\+Inf"} 4\n/);
    assert.match(metrics.render(), /d_seconds_sum{route="\/"} 7.65\nd_seconds_count{route="\/"} 4\n/);
  });

  it('gives the same metric for the same name, and refuses another shape', () => {
    const metrics = new Metrics();
    metrics.counter('c_total', 'C', ['a']).inc({ a: 'x' });
    metrics.counter('c_total', 'C', ['a']).inc({ a: 'x' });

    assert.match(metrics.render(), /c_total{a="x"} 2/);
    assert.throws(() => metrics.gauge('c_total', 'C'), /another shape/);
    assert.throws(() => metrics.gauge('no-name', 'C'), /not a metric name/);
  });

  it('bounds the number of label sets', () => {
    const metrics = new Metrics();
    const counter = metrics.counter('c_total', 'C', ['path']);

    for (let i = 0; i < 5000; i++) counter.inc({ path: `/${i}` });

    assert.match(metrics.render(), /c_total{path="other"} 3000\n/);
  });

  it('collects before rendering', () => {
    const metrics = new Metrics();
    const gauge = metrics.gauge('g', 'G', ['pod']);
    metrics.onCollect(() => gauge.set(1, { pod: 'a' }));

    assert.match(metrics.render(), /g{pod="a"} 1/);
  });
});
