/** A mesh with a client, a service in two versions behind a split, and somebody who may call nobody. */
export interface ShopOptions {
  readonly weights?: readonly [number, number];
  readonly replicas?: number;
  /** YAML to add. */
  readonly more?: string;
}

export function shop({ weights: [v1, v2] = [90, 10], replicas = 1, more = '' }: ShopOptions = {}): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { selector: { app: cart }, ports: [{ port: 80, targetPort: 8080, appProtocol: http }] }
---
${version('v1', replicas)}
---
${version('v2', 1)}
---
${workload('shop', 'web', 1)}
---
${workload('other', 'intruder', 1)}
---
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: { name: cart, namespace: shop }
spec:
  service: cart
  backends:
    - { service: cart-v1, weight: ${v1} }
    - { service: cart-v2, weight: ${v2} }
---
${target('web-to-cart-v1', 'cart-v1', 'web')}
---
${target('web-to-cart-v2', 'cart-v2', 'web')}
---
${more}
`;
}

function version(name: string, replicas: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: cart-${name}, namespace: shop }
spec: { selector: { app: cart, version: ${name} }, ports: [{ port: 80, targetPort: 8080, appProtocol: http }] }
---
${workload('shop', `cart-${name}`, replicas, `{ app: cart, version: ${name} }`)}`;
}

export function workload(namespace: string, name: string, replicas: number, labels = `{ app: ${name} }`): string {
  return `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: ${labels} }
  template:
    metadata: { labels: ${labels} }
    spec:
      serviceAccountName: ${name}
      containers: [{ name: app, image: app, ports: [{ containerPort: 8080 }] }]`;
}

export function target(name: string, destination: string, source: string): string {
  return `
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: { name: ${name}, namespace: shop }
spec: { matches: [{ name: all, pathRegex: '/items/.*', methods: [GET] }] }
---
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: { name: ${name}, namespace: shop }
spec:
  destination: { kind: ServiceAccount, name: ${destination}, namespace: shop }
  rules: [{ kind: HTTPRouteGroup, name: ${name} }]
  sources: [{ kind: ServiceAccount, name: ${source}, namespace: shop }]`;
}
