import { loadAllImages, missing, openCluster } from '../test/e2e-kubernetes/cluster.ts';

// Brings this tree's images into the cluster of KUBECONFIG by TULLE_IMAGE_LOAD: all, or those whose name has one of the arguments in it.
if (missing !== undefined) {
  process.stderr.write(
    `${missing}: it takes NAME:TAG DIR --from BASE and options; scripts/cluster-images-kind.sh is one.\n`,
  );
  process.exit(2);
}
const wanted = process.argv.slice(2);
const api = openCluster();
const loaded = await loadAllImages(api, (name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
process.stdout.write(loaded.length === 0 ? 'all images are there\n' : `loaded ${loaded.join(', ')}\n`);
api.close();
