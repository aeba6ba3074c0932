import type { Problem, ResourceRef, Severity } from '../problem/problem.ts';
import type { ProblemReason } from '../problem/reasons.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Appends one step to a JSON pointer (RFC 6901). */
export function pointer(at: string, key: string | number): string {
  return `${at}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/**
 * Reads the fields of one object that came from outside and collects what is wrong with them.
 * Every method gives undefined, beside a problem, for a value of the wrong shape; none throws.
 */
export interface ObjectReader {
  readonly resource: ResourceRef;
  readonly problems: Problem[];
  report(field: string, reason: ProblemReason, message: string, fix: string, severity?: Severity): void;
  object(value: unknown, field: string): JsonObject | undefined;
  list(value: unknown, field: string): readonly unknown[] | undefined;
  /** Any text but the empty one. */
  text(value: unknown, field: string): string | undefined;
  /** A name as Kubernetes has them (RFC 1123 subdomain): nothing else may become part of an identity. */
  objectName(value: unknown, field: string): string | undefined;
  /** 1 to 65535, as a number or, with `orText`, as digits. */
  port(value: unknown, field: string, options?: { readonly orText: boolean }): number | undefined;
  /** Reports each field that isn't among `known`; true when there is none. */
  onlyKnown(value: JsonObject, at: string, known: readonly string[], severity?: Severity): boolean;
}

export function createReader(resource: ResourceRef): ObjectReader {
  const problems: Problem[] = [];

  function report(
    field: string,
    reason: ProblemReason,
    message: string,
    fix: string,
    severity: Severity = 'error',
  ): void {
    problems.push({ resource, field, severity, reason, message, fix });
  }

  function wrong(value: unknown, field: string, wanted: string): undefined {
    if (value === undefined) {
      report(field, 'FieldMissing', `${lastStep(field)} is missing`, `give ${wanted}`);
    } else {
      report(field, 'FieldInvalid', `${lastStep(field)} is ${describe(value)}, not ${wanted}`, `write ${wanted}`);
    }
    return undefined;
  }

  return {
    resource,
    problems,
    report,
    object: (value, field) => (isJsonObject(value) ? value : wrong(value, field, 'an object')),
    list: (value, field) => (Array.isArray(value) ? (value as readonly unknown[]) : wrong(value, field, 'a list')),
    text: (value, field) => (typeof value === 'string' && value !== '' ? value : wrong(value, field, 'text')),
    objectName: (value, field) => (isObjectName(value) ? value : wrong(value, field, 'a name (a-z, 0-9, "-", ".")')),
    port(value, field, options) {
      const digits = options?.orText === true && typeof value === 'string' && /^\d{1,5}$/.test(value);
      const port = digits ? Number(value) : value;
      return isPort(port) ? port : wrong(value, field, 'a port number (1 to 65535)');
    },
    onlyKnown(value, at, known, severity = 'warning') {
      const unknown = Object.keys(value).filter((key) => !known.includes(key));
      for (const key of unknown) {
        const effect = severity === 'error' ? ', so what it stands in is not in force' : ' and has no effect';
        const fix = `remove it, or spell it as one of ${known.join(', ')}`;
        report(pointer(at, key), 'FieldUnknown', `"${clip(key)}" is no field of SMI here${effect}`, fix, severity);
      }
      return unknown.length === 0;
    },
  };
}

export function isObjectName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(value);
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535;
}

function describe(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value === 'string') return value === '' ? 'empty' : `the text "${clip(value)}"`;
  return `the ${typeof value} ${JSON.stringify(value)}`;
}

/** User text in a message, short enough to read. */
export function clip(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

function lastStep(field: string): string {
  const step = field.slice(field.lastIndexOf('/') + 1);
  return step === '' ? 'the object' : step;
}
