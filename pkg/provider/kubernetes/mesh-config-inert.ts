import { isJsonObject, type JsonObject, type ObjectReader } from '../../smi/reader.ts';

/** A field of OSM's MeshConfig that is read and has no effect here; told only where it asks for what is not done. */
interface InertField {
  readonly path: readonly string[];
  readonly asks: (value: unknown) => boolean;
  readonly message: string;
  readonly fix: string;
  /** Error: the mesh is weaker than the object says. */
  readonly severity: 'error' | 'warning' | 'info';
}

const isOn = (value: unknown): boolean => value === true;
const isSome = (value: unknown): boolean => Array.isArray(value) && value.length > 0;
const isOther =
  (...defaults: readonly unknown[]) =>
  (value: unknown): boolean =>
    value !== undefined && value !== null && value !== '' && !defaults.includes(value);

/** Defaults of OSM's chart are passed over: who migrates has all of them in the object. */
const inert: readonly InertField[] = [
  {
    path: ['traffic', 'inboundExternalAuthorization', 'enable'],
    asks: isOn,
    message: 'external authorization is recognised, but not in force: nobody is asked',
    fix: 'authorize in the application, or by TrafficTargets, until it is',
    severity: 'error',
  },
  {
    path: ['certificate', 'ingressGateway'],
    asks: isJsonObject,
    message: 'certificates for ingress gateways are recognised, but none is issued',
    fix: 'exclude the port that the ingress uses: openservicemesh.io/inbound-port-exclusion-list',
    severity: 'warning',
  },
  {
    path: ['certificate', 'serviceCertValidityDuration'],
    asks: isOther('24h', '24h0m0s', '1440m'),
    message: 'the lifetime of certificates is not read from here',
    fix: 'set the value ca.leafLifetime of the chart',
    severity: 'warning',
  },
  {
    path: ['certificate', 'certKeyBitSize'],
    asks: isOther(2048),
    message: 'certificates have keys of ECDSA P-256, so that there is no size to choose',
    fix: 'remove the field',
    severity: 'info',
  },
  // A plain Envoy would keep every pod from starting, and the name of an image doesn't tell (record 0009).
  {
    path: ['sidecar', 'envoyImage'],
    asks: isOther(),
    message: 'the image of the sidecar is not read from here: it must be of Tulle’s own making',
    fix: 'remove the field; the values image.sidecar.repository, tag and digest of the chart name the image',
    severity: 'warning',
  },
  {
    path: ['sidecar', 'initContainerImage'],
    asks: isOther(),
    message: 'there is no other image for the init container: the sidecar’s writes the rules',
    fix: 'remove the field; the values image.sidecar.repository, tag and digest of the chart name the image',
    severity: 'warning',
  },
  {
    path: ['sidecar', 'maxDataPlaneConnections'],
    asks: isOther(0),
    message: 'the number of sidecars that may connect is not bounded by this field',
    fix: 'remove the field; --set replicas gives the control plane more room',
    severity: 'warning',
  },
  {
    path: ['sidecar', 'tlsMaxProtocolVersion'],
    asks: isOther('TLS_AUTO', 'TLSv1_3'),
    message: 'sidecars speak TLS 1.3 with one another whatever this says',
    fix: 'remove the field',
    severity: 'info',
  },
  {
    path: ['sidecar', 'cipherSuites'],
    asks: isSome,
    message: 'TLS 1.3 has ciphers of its own, which these suites do not choose among',
    fix: 'remove the field',
    severity: 'warning',
  },
  {
    path: ['sidecar', 'ecdhCurves'],
    asks: isSome,
    message: 'the curves of key exchange are not read from here',
    fix: 'remove the field',
    severity: 'warning',
  },
  {
    path: ['observability', 'tracing', 'enable'],
    asks: isOn,
    message: 'where spans go is not read from here: the collector of Zipkin that it names gets none',
    fix: 'set the value tracing.endpoint of the chart to a collector of OTLP/HTTP',
    severity: 'warning',
  },
  {
    path: ['observability', 'osmLogLevel'],
    asks: isOther('info'),
    message: 'the log level of the control plane is not read from here',
    fix: 'set the value logLevel of the chart',
    severity: 'info',
  },
  {
    path: ['observability', 'enableDebugServer'],
    asks: isOn,
    message: 'there is no debug server',
    fix: 'use tulle proxy config and tulle analyze',
    severity: 'info',
  },
  {
    path: ['featureFlags', 'enableMulticlusterMode'],
    asks: isOn,
    message: 'meshes of several clusters are not joined',
    fix: 'remove the flag',
    severity: 'warning',
  },
];

/** Tells what the object asks for and does not get: each field is honoured or reported (DECISIONS S13). */
export function reportInert(spec: JsonObject, reader: ObjectReader): void {
  for (const { path, asks, message, fix, severity } of inert) {
    let value: unknown = spec;
    for (const step of path) value = isJsonObject(value) ? value[step] : undefined;
    if (asks(value)) reader.report(`/spec/${path.join('/')}`, 'KindUnsupported', message, fix, severity);
  }
}
