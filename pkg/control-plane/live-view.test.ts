import assert from 'node:assert/strict';
import type { MeshConfig } from '../catalog/snapshot.ts';
import { createLiveView, type LiveView } from './live-view.ts';

describe('the view of a mesh', () => {
  let view: LiveView;
  let asked: number;
  let told: number;
  beforeEach(() => {
    [asked, told] = [0, 0];
    view = createLiveView({
      controller: { id: 'test', isolation: 'isolated', inputs: [] },
      mesh: { mode: 'enforce', modeFrom: 'default', trustDomain: 'cluster.local' } as MeshConfig,
      inForce: () => ({ problems: [] }),
      proxies: () => ((asked += 1), []),
    });
    view.subscribe(() => (told += 1));
  });

  it('is there before anything was read', () => {
    const { id, mode, trustDomain, services, pods, splits } = view.state();
    assert.deepEqual([id, mode, trustDomain, services, pods, splits], ['test', 'enforce', 'cluster.local', [], [], []]);
  });

  it('stays the same as long as nothing changes, and asks after proxies for who looks at them', () => {
    const state = view.state();
    assert.equal(view.state(), state);
    assert.equal(asked, 0);
    assert.deepEqual([state.proxies, state.proxies, asked], [[], [], 1]);
    view.meshChanged();
    assert.notEqual(view.state(), state);
    assert.equal(told, 1);
  });

  it('tells of a thousand proxies that are farther once', async () => {
    const state = view.state();
    for (let i = 0; i < 1_000; i++) view.proxiesChanged();
    assert.notEqual(view.state(), state);
    assert.equal(told, 0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told, 1);
  });
});
