import { allSources } from '../test/e2e-kubernetes/images.ts';
import { openKubernetesApi } from '../test/support/kubernetes-api.ts';
import { imageLoaderFromEnvironment, loadImages, standIn } from '../test/support/kubernetes-images.ts';

// Brings this tree's images into the cluster of KUBECONFIG by TULLE_IMAGE_LOAD: all, or those whose name has one of the arguments in it.
const loader = imageLoaderFromEnvironment();
const kubeconfig = process.env['KUBECONFIG'];
if (loader === undefined || kubeconfig === undefined) {
  process.stderr.write(
    'Set KUBECONFIG, and TULLE_IMAGE_LOAD to a command that takes NAME:TAG DIR --from BASE [options].\n',
  );
  process.exit(2);
}
const wanted = process.argv.slice(2);
const api = openKubernetesApi(kubeconfig);
const cluster = (await api.get('/api/v1/namespaces/kube-system')).metadata.uid ?? 'cluster';
const sources = (await allSources()).filter(
  ({ name, pulled, from }) =>
    (!pulled || standIn(loader, from) !== undefined) &&
    (wanted.length === 0 || wanted.some((part) => name.includes(part))),
);
const loaded = await loadImages(loader, cluster, sources);
process.stdout.write(loaded.length === 0 ? 'all images are there\n' : `loaded ${loaded.join(', ')}\n`);
api.close();
