/** As in every cluster by default; not the trust domain, which is about identities. */
const clusterDomain = 'cluster.local';

/** Every spelling of a Service's name, without port, longest last. The bare name holds in its own namespace only. */
export function serviceHostnames(namespace: string, name: string): readonly string[] {
  return [name, ...qualified(name, namespace)];
}

/** Every spelling of the name of a pod behind a headless Service: `mysql-0.mysql`, `mysql-0.mysql.bookwarehouse`, … */
export function podHostnames(namespace: string, service: string, hostname: string): readonly string[] {
  const name = `${hostname}.${service}`;
  return [name, ...qualified(name, namespace)];
}

function qualified(name: string, namespace: string): readonly string[] {
  const own = `${name}.${namespace}`;
  const [first] = clusterDomain.split('.');
  return [own, `${own}.svc`, `${own}.svc.${first}`, `${own}.svc.${clusterDomain}`];
}
