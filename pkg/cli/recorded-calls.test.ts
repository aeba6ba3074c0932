import assert from 'node:assert/strict';
import { mergeTraces } from './demo-check.ts';
import type { Flow } from '../observability/flows.ts';
import { joinCalls, joinFlows } from './recorded-calls.ts';
import { recordedCall } from './shop-cluster.fixture.ts';

describe('what several controllers recorded', () => {
  it('is in the order of time', () => {
    const [late, early] = [recordedCall('bad', 9), recordedCall('good', 1)];
    assert.deepEqual(joinCalls([[late, early]]), [early, late]);
  });

  it('is one call where its two sides went to two of them, with what each side knows', () => {
    const client = { ...recordedCall('bad', 1), backend: 'web-v1' };
    const server = {
      ...recordedCall('bad', 2),
      observer: 'server' as const,
      verdict: 'would-deny' as const,
      reason: 'SourceNotAllowed',
    };
    const [call, ...others] = joinCalls([[client], [server]]);
    assert.deepEqual(others, []);
    assert.deepEqual([call?.backend, call?.verdict, call?.reason], ['web-v1', 'would-deny', 'SourceNotAllowed']);
  });

  it('stays two calls where there were two of the same trace', () => {
    const client = (spanId: string) => ({ ...recordedCall('bad', 1), spanId });
    const server = (spanId: string) => ({ ...client(spanId), observer: 'server' as const });
    assert.equal(
      joinCalls([
        [client('a'), client('b')],
        [server('c'), server('d'), server('e')],
      ]).length,
      3,
    );
  });

  it('is one call where all of them know it, as the one tells it that knows more', () => {
    const [half, whole] = [recordedCall('bad', 1), { ...recordedCall('bad', 1), rule: 'shop/buyers' }];
    const old = { ...recordedCall('good', 0), spanId: '2'.repeat(16) };
    assert.deepEqual(joinCalls([[half], [whole, old], [half]]), [old, whole]);
  });

  it('is one flow where all of them counted it', () => {
    const flow = (source: string, requests: number): Flow =>
      ({ source, service: 'shop/web:80', verdict: 'allowed', requests }) as Flow;
    const lists = [[flow('bad', 3)], [flow('bad', 7), flow('good', 1)], [flow('bad', 5)]];
    assert.deepEqual(joinFlows(lists), [flow('bad', 7), flow('good', 1)]);
  });

  it('is one trace where its spans went to two of them, each with its own numbers of processes', () => {
    const span = (spanID: string) => ({
      traceID: 't',
      spanID,
      operationName: '',
      references: [],
      startTime: 0,
      duration: 0,
      tags: [],
      logs: [],
      processID: 'p1',
      warnings: null,
    });
    const part = (spanID: string, serviceName: string) => ({
      traceID: 't',
      spans: [span(spanID)],
      processes: { p1: { serviceName, tags: [] } },
      warnings: null,
    });
    const [trace, ...others] = mergeTraces([[part('a', 'buyer')], [part('b', 'store')], [part('a', 'buyer')]]);
    assert.deepEqual(others, []);
    assert.deepEqual(
      trace?.spans.map(({ spanID, processID }) => [spanID, trace.processes[processID]?.serviceName]),
      [
        ['a', 'buyer'],
        ['b', 'store'],
      ],
    );
  });
});
