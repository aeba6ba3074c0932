/** Throws an error that names the field unless it is good. */
export type Check = (field: string, good: boolean) => void;

type Test = (value: unknown) => boolean;

export const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isBoolean: Test = (value) => typeof value === 'boolean';
const isListOf =
  (test: Test): Test =>
  (value) =>
    Array.isArray(value) && value.every(test);
const isOneOf =
  (...values: readonly string[]): Test =>
  (value) =>
    values.includes(value as string);
const isCount =
  (least: number, most: number): Test =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
const isQuantities: Test = (value) =>
  isRecord(value) && Object.values(value).every((quantity) => isText(quantity) || typeof quantity === 'number');
const isResources: Test = (value) =>
  isRecord(value) &&
  Object.entries(value).every(([key, part]) => ['requests', 'limits'].includes(key) && isQuantities(part));

/** Fields of `InjectionOptions` (pkg/injector/injection-settings.ts). */
const options: Readonly<Record<string, Test>> = {
  sidecarImage: isText,
  imagePullPolicy: isOneOf('Always', 'IfNotPresent', 'Never'),
  imagePullSecrets: isListOf(isText),
  logLevel: isOneOf('trace', 'debug', 'info', 'warning', 'warn', 'error', 'critical', 'off'),
  concurrency: isCount(0, 1024),
  resources: isResources,
  initResources: isResources,
  nativeSidecars: isOneOf('auto', 'always', 'never'),
  fastStart: isBoolean,
  preStopSleep: isCount(0, 3600),
  readyTimeout: isCount(1, 3600),
  ipv6: isBoolean,
  privilegedInit: isBoolean,
  localProxyMode: isOneOf('Localhost', 'PodIP'),
  interception: isRecord,
};

const lists: Readonly<Record<string, Test>> = {
  outboundPortExclusions: isListOf(isCount(1, 65_535)),
  inboundPortExclusions: isListOf(isCount(1, 65_535)),
  outboundCidrExclusions: isListOf(isText),
  outboundCidrInclusions: isListOf(isText),
  interfaceExclusions: isListOf(isText),
};

/** What isn't said has a default; what is misspelt or of another kind is an error, for it would change every pod. */
export function checkInjectionOptions(value: unknown, check: Check): void {
  const at = 'kubernetes.injection';
  check(at, isRecord(value));
  const json = value as Record<string, unknown>;
  checkFields(at, json, options, check);
  check(`${at}.sidecarImage`, json['sidecarImage'] !== undefined);
  checkFields(`${at}.interception`, (json['interception'] ?? {}) as Record<string, unknown>, lists, check);
}

function checkFields(
  at: string,
  json: Readonly<Record<string, unknown>>,
  tests: Readonly<Record<string, Test>>,
  check: Check,
): void {
  for (const [key, value] of Object.entries(json)) {
    check(`${at}.${key}`, Object.hasOwn(tests, key) && tests[key]?.(value) === true);
  }
}
