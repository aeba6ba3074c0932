import assert from 'node:assert/strict';
import { injected, podOf } from './injection.fixture.ts';
import type { Pod } from './pod.ts';

describe('the image that a pod asks for', () => {
  const of = (image: string): ReturnType<typeof injected> =>
    injected(podOf({}, {}, { 'tulle.dev/sidecar-image': image }));
  const imageOf = ({ spec }: Pod, container: string): unknown =>
    spec?.initContainers?.find(({ name }) => name === container)?.['image'];

  it('is the sidecar’s alone: what runs as root with capabilities is the installation’s', () => {
    const { pod } = of('evil/sidecar:1');
    assert.deepEqual([imageOf(pod, 'envoy'), imageOf(pod, 'tulle-init')], ['evil/sidecar:1', 'tulle/sidecar:0.1.0']);
  });

  for (const image of ['envoyproxy/envoy:v1.40.0', 'corp/envoyproxy-mirror:v1.38', 'reg:5000/tulle/sidecar', 'sidecar'])
    it(`is warned of when it may not be one of ours: ${image}`, () => {
      const { warnings } = of(image);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? '', /bash, tulle-wait\.sh and tulle-drain\.sh in .*Envoy 1\.38/);
      assert.ok((warnings[0]?.length ?? 0) < 256, 'longer ones are cut by the API server');
    });

  for (const image of ['tulle/sidecar:0.2.0', 'tulle/sidecar', 'tulle/sidecar:1@sha256:0a', 'tulle/sidecar@sha256:0a'])
    it(`is taken without a word when it is of our repository: ${image}`, () =>
      assert.deepEqual(of(image).warnings, []));
});
