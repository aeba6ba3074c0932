const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const pure = '^pkg/(problem|policy|smi|catalog|envoy-config|explain|analysis|cases|suggest)/';
const test = '\\.(test|fixture)\\.ts$';

/** Folders, and what their row in docs/architecture.md lets them import of ours. */
const rows = readFileSync(join(__dirname, 'docs/architecture.md'), 'utf8')
  .split('\n')
  .map((line) => /^\| (`pkg\/[^|]+) \|[^|]*\| ([^|]+) \|$/.exec(line))
  .filter((row) => row !== null)
  .flatMap(([, folders, names]) =>
    [...folders.matchAll(/`([^`]+)`/g)].map(([, folder]) => ({
      folder,
      allowed: names === 'nothing' ? [] : names.split(', ').map((name) => `^pkg/${name}/`),
      isFree: names === 'everything',
    })),
  );

const knowsOnly = ({ folder, allowed }) => ({
  name: `${folder.replaceAll('/', '-')}-imports-what-its-row-says`,
  severity: 'error',
  from: { path: `^${folder}/`, pathNot: test },
  to: { path: '^(pkg|cmd|test|demo)/', pathNot: [`^${folder}/`, ...allowed] },
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
    {
      name: 'each-folder-has-a-row',
      severity: 'error',
      from: {},
      to: { path: '^pkg/', pathNot: rows.map(({ folder }) => `^${folder}/`) },
    },
    ...rows.filter(({ isFree }) => !isFree).map(knowsOnly),
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
