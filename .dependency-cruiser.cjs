const pure = '^pkg/(problem|policy|smi|catalog|envoy-config|explain|analysis|cases|suggest)/';
const test = '\\.(test|fixture)\\.ts$';

/** A folder that may import only itself and the folders listed. */
const knowsOnly = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: from, pathNot: test },
  to: { path: '^(pkg|cmd|test|demo)/', pathNot: [from, ...allowed] },
});

/** An npm package that only some folders may import. */
const onlyImportedBy = (name, packages, from) => ({
  name,
  severity: 'error',
  from: { pathNot: [from, test, '^test/', '^scripts/'] },
  to: { path: `node_modules/(${packages})/` },
});

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'nobody-imports-cmd-or-test',
      severity: 'error',
      from: { path: '^pkg/', pathNot: test },
      to: { path: '^(cmd|test|demo)/' },
    },
    {
      name: 'demo-apps-know-nothing-of-the-mesh',
      severity: 'error',
      from: { path: '^demo/' },
      to: { path: '^(pkg|cmd)/' },
    },
    {
      name: 'pure-code-does-no-io',
      severity: 'error',
      from: { path: pure, pathNot: test },
      to: { dependencyTypes: ['core'] },
    },
    knowsOnly('problem-imports-nothing', '^pkg/problem/', []),
    knowsOnly('policy-imports-nothing', '^pkg/policy/', []),
    knowsOnly('smi-knows-problem-only', '^pkg/smi/', ['^pkg/problem/']),
    knowsOnly('catalog-knows-smi-and-policy', '^pkg/catalog/', ['^pkg/(problem|policy|smi)/']),
    knowsOnly('envoy-config-knows-policy-only', '^pkg/envoy-config/', ['^pkg/(problem|policy)/']),
    knowsOnly('questions-about-policy-know-its-meaning-only', '^pkg/(explain|analysis|cases|suggest)/', [
      '^pkg/(problem|policy|smi|catalog)/',
    ]),
    knowsOnly('http1-knows-nothing-of-the-mesh', '^pkg/http1/', []),
    knowsOnly('http2-knows-nothing-of-the-mesh', '^pkg/http2/', ['^pkg/http1/']),
    knowsOnly('sidecar-knows-no-control-plane', '^pkg/sidecar/', [
      '^pkg/(problem|policy|certs|observability|xds|http1|http2)/',
    ]),
    knowsOnly('kubernetes-provider-knows-objects-and-snapshots', '^pkg/provider/kubernetes/', [
      '^pkg/(problem|policy|smi|catalog|certs|observability|provider/objects)/',
    ]),
    knowsOnly('injector-knows-pods-and-bootstraps', '^pkg/injector/', [
      '^pkg/(problem|policy|envoy-config|observability|provider/objects)/',
    ]),
    onlyImportedBy(
      'only-the-kubernetes-provider-talks-to-kubernetes',
      '@kubernetes/client-node',
      '^pkg/provider/kubernetes/',
    ),
    onlyImportedBy(
      'only-xds-and-the-otlp-receiver-know-protobuf',
      '@grpc/proto-loader|protobufjs',
      '^pkg/(xds|observability)/',
    ),
    onlyImportedBy(
      'express-serves-pages-not-the-data-path',
      'express',
      '^(pkg/(dashboard|observability|injector)|demo)/',
    ),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|build)/' },
  },
};
