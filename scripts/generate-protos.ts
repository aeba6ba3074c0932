/**
 * Writes build/protos.json: every v3 message of Envoy's API and what these need, as a JSON descriptor of protobufjs
 * (`protoLoader.fromJSON` loads it, and pkg/xds/message-encoder.ts encodes by it). Field names are those of the .proto files.
 * The sources are the .proto files in the npm package @grpc/grpc-js-xds, whose pinned version is the version of the API,
 * and scripts/envoy-additions.json: the fields of newer Envoys that we use.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';

interface ProtobufRoot {
  resolvePath: (origin: string, target: string) => string | null;
  loadSync(files: string[], options: { keepCase: boolean }): ProtobufRoot;
  resolveAll(): ProtobufRoot;
  toJSON(options: { keepComments: boolean }): DescriptorNode;
}

const require = createRequire(import.meta.url);
// protobufjs comes with @grpc/proto-loader: asked for from there, both are the same copy, and so is addCommonProtos.
require('@grpc/proto-loader');
const protobuf = createRequire(require.resolve('@grpc/proto-loader'))('protobufjs') as {
  Root: new () => ProtobufRoot;
};

const sources = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
const roots = ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(sources, name));
function listProtos(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.proto'))
    .map((entry) => join(entry.parentPath, entry.name));
}

interface DescriptorNode {
  readonly [key: string]: unknown;
}

/** Options say how to validate and to document, nothing of the bytes; `packed` and `proto3_optional` do. */
function dropOptions(node: DescriptorNode): DescriptorNode {
  const kept: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    if (key === 'nested' || key === 'fields') {
      const members = Object.entries(value as Record<string, DescriptorNode>);
      kept[key] = Object.fromEntries(members.map(([name, member]) => [name, dropOptions(member)]));
    } else if (key === 'options') {
      const wanted = Object.entries(value as DescriptorNode).filter(([name]) =>
        /^(packed|proto3_optional)$/.test(name),
      );
      if (wanted.length > 0) kept[key] = Object.fromEntries(wanted);
    } else if (key !== 'extensions' && key !== 'reserved') {
      kept[key] = value;
    }
  }
  return kept;
}

/** The file that an import means, or undefined when the package does not bring it. */
function find(target: string): string | undefined {
  return roots.map((folder) => join(folder, target)).find((file) => existsSync(file));
}

/** Google's well-known types come with protobufjs. */
const isWellKnown = (target: string): boolean => target.startsWith('google/protobuf/');

/** False for a file one of whose imports, direct or not, is missing (OpenCensus): nothing of ours needs these. */
function loads(file: string, visiting = new Set<string>()): boolean {
  if (visiting.has(file)) return true;
  visiting.add(file);
  const imports = readFileSync(file, 'utf8').matchAll(/^import (?:public )?"([^"]+)";/gm);
  return [...imports].every(([, target = '']) => {
    if (isWellKnown(target)) return true;
    const found = find(target);
    return found !== undefined && loads(found, visiting);
  });
}

function merge(base: DescriptorNode, more: DescriptorNode): DescriptorNode {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(more)) {
    const known = merged[key];
    const isNode = typeof known === 'object' && known !== null;
    merged[key] = isNode ? merge(known as DescriptorNode, value as DescriptorNode) : value;
  }
  return merged;
}

/** Left out: services other than ADS, and what only Envoy itself writes (admin answers, access log records). */
const wanted = /envoy-api\/envoy\/((config|extensions|type)\/.*v3\/|service\/discovery\/v3\/)/;

function main(): void {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => (isAbsolute(target) || isWellKnown(target) ? target : (find(target) ?? null));
  const files = listProtos(join(sources, 'envoy-api')).filter((file) => wanted.test(file) && loads(file));
  root.loadSync(files, { keepCase: true }).resolveAll();
  const additions = JSON.parse(
    readFileSync(new URL('envoy-additions.json', import.meta.url), 'utf8'),
  ) as DescriptorNode;
  const json = merge(dropOptions(root.toJSON({ keepComments: false })), additions);
  mkdirSync('build', { recursive: true });
  writeFileSync('build/protos.json', JSON.stringify(json));
}

main();
