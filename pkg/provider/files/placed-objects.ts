import { createIndex, createListMap } from '../../catalog/lists.ts';
import type { Position, Problem } from '../../problem/problem.ts';
import type { FileFault } from './bounded-file.ts';
import { groupOf, type Role, roleOf } from './kinds.ts';
import type { Extractor, SourceObject } from './source-objects.ts';
import { placeOf, type YamlDocument } from './yaml-documents.ts';

/** A file as it was read last. */
export interface SourceFile {
  /** As positions name it. */
  readonly name: string;
  readonly text: string;
  readonly documents: readonly YamlDocument[];
  readonly fault?: { readonly reason: FileFault; readonly message: string; readonly fix: string };
}

/** An object and where it stands. */
export interface Placed extends SourceObject {
  readonly role: Role;
  readonly file: string;
  readonly document: YamlDocument;
}

export function positionOf({ file, document, at }: Placed, field: string): Position {
  return { file, ...placeOf(document, at + field) };
}

/** All objects of some files; what can't be one became a problem. */
export interface Collected {
  /** In the order of the files. */
  readonly placed: readonly Placed[];
  /** The first of each name. */
  readonly unique: readonly Placed[];
  readonly problems: readonly Problem[];
}

/** Looks into a file once, for as long as it stays the same. */
export function createCollector(extractor: Extractor): (files: readonly SourceFile[]) => Collected {
  const objectsOf = createListMap((file: SourceFile) => readObjects(file, extractor));
  const index = createIndex(({ key }: Placed) => key);

  return (files) => {
    const placed: Placed[] = [];
    const problems: Problem[] = [];
    for (const own of objectsOf(files)) {
      for (const object of own.placed) placed.push(object);
      if (own.problems.length > 0) problems.push(...own.problems);
    }
    const byKey = index(placed);
    extractor.remember(byKey);
    const unique = byKey.size === placed.length ? placed : withoutDuplicates(placed, problems);
    return { placed, unique, problems };
  };
}

interface FileObjects {
  readonly placed: readonly Placed[];
  readonly problems: readonly Problem[];
}

function readObjects({ name: file, documents, fault }: SourceFile, extractor: Extractor): FileObjects {
  const placed: Placed[] = [];
  const problems: Problem[] = [];
  const resource = { kind: 'File', namespace: '', name: '' };
  if (fault) {
    problems.push({ resource, field: '', severity: 'error', ...fault, position: { file, line: 1, column: 1 } });
  }
  for (const document of documents) {
    if (document.fault) {
      const { message, line, column } = document.fault;
      problems.push({
        resource: { ...resource, kind: 'Document' },
        field: '',
        severity: 'error',
        reason: 'SyntaxError',
        message: `${message}, so nothing of this document is in force; the others of the file are`,
        fix: 'correct it; documents are separated by a line "---"',
        position: { file, line, column },
      });
    }
    const { objects, problems: found } = extractor.objectsOf(document);
    for (const problem of found) {
      problems.push({ ...problem, position: { file, ...placeOf(document, problem.field) } });
    }
    for (const object of objects) placed.push({ ...object, role: roleOf(object.raw), file, document });
  }
  return { placed, problems };
}

function withoutDuplicates(placed: readonly Placed[], problems: Problem[]): Placed[] {
  const first = new Map<string, Placed>();
  return placed.filter((object) => {
    const other = first.get(object.key);
    if (other === undefined) {
      first.set(object.key, object);
      return true;
    }
    const { apiVersion, kind, metadata } = object.raw;
    const { line } = positionOf(other, '/metadata/name');
    problems.push({
      resource: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
      field: '/metadata/name',
      severity: 'error',
      reason: 'DuplicateObject',
      message: `it stands in ${other.file}:${line} already, and that one is in force`,
      fix: 'remove one of them, or give it another name',
      position: positionOf(object, '/metadata/name'),
    });
    return false;
  });
}

export function groupByRole(placed: readonly Placed[]): ReadonlyMap<Role, readonly Placed[]> {
  const groups = new Map<Role, Placed[]>();
  for (const object of placed) {
    const group = groups.get(object.role);
    if (group) group.push(object);
    else groups.set(object.role, [object]);
  }
  return groups;
}

/** One line for each kind that plays no part here, however many objects there are of it. */
export function reportIgnored(byRole: ReadonlyMap<Role, readonly Placed[]>, problems: Problem[]): void {
  for (const object of byRole.get('unknownSmi') ?? []) {
    const { apiVersion, kind, metadata } = object.raw;
    problems.push({
      resource: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
      field: '/kind',
      severity: 'error',
      reason: 'KindUnsupported',
      message: `${groupOf(apiVersion)} has no kind "${kind.slice(0, 60)}", so it is passed over`,
      fix: 'correct the kind; case counts',
      position: positionOf(object, '/kind'),
    });
  }
  const kinds = new Map<string, Placed[]>();
  for (const object of byRole.get('ignored') ?? []) {
    const key = `${groupOf(object.raw.apiVersion)}\n${object.raw.kind}`;
    const same = kinds.get(key);
    if (same) same.push(object);
    else kinds.set(key, [object]);
  }
  for (const [object, ...more] of kinds.values()) {
    if (object === undefined) continue;
    const { apiVersion, kind } = object.raw;
    problems.push({
      resource: { apiVersion, kind, namespace: '', name: '' },
      field: '',
      severity: 'info',
      reason: 'KindIgnored',
      message: `${more.length + 1} of kind ${kind} (${apiVersion}) ${more.length > 0 ? 'play' : 'plays'} no part here`,
      fix: 'nothing: a cluster may need it',
      position: positionOf(object, '/kind'),
    });
  }
}
