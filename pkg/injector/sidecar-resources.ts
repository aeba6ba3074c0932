import type { InjectionSettings, Resources } from './injection-settings.ts';
import { InjectionRefused, ownKeys } from './keys.ts';
import type { Keyed } from './keys.ts';

const defaults: Resources = { requests: { cpu: '10m', memory: '40Mi' } };
export const initDefaults: Resources = { requests: { cpu: '5m', memory: '10Mi' } };

/** Quantities as people write them; exponents are left to machines. */
const quantity = /^(\d+(?:\.\d+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?$/;

/** The mesh's, and what the pod's annotations put in their place. */
export function toSidecarResources(annotations: Keyed, settings: Pick<InjectionSettings, 'resources'>): Resources {
  const { requests, limits } = settings.resources ?? defaults;
  const ofPod = (cpu: string, memory: string): Record<string, string> => ({
    ...toQuantity('cpu', annotations, cpu),
    ...toQuantity('memory', annotations, memory),
  });
  const ownLimits = ofPod(ownKeys.cpuLimit, ownKeys.memoryLimit);
  const ownRequests = ofPod(ownKeys.cpuRequest, ownKeys.memoryRequest);
  const allLimits = { ...limits, ...ownLimits };
  const allRequests = { ...requests, ...ownRequests };
  for (const name of ['cpu', 'memory'] as const) {
    // A limit below the mesh's request would make a pod that the API server refuses.
    if (
      ownLimits[name] !== undefined &&
      ownRequests[name] === undefined &&
      exceeds(allRequests[name], ownLimits[name])
    ) {
      allRequests[name] = ownLimits[name];
    }
  }
  return {
    ...(Object.keys(allRequests).length > 0 ? { requests: allRequests } : {}),
    ...(Object.keys(allLimits).length > 0 ? { limits: allLimits } : {}),
  };
}

function toQuantity(name: string, annotations: Keyed, key: string): Record<string, string> {
  const value = annotations?.[key];
  if (value === undefined) return {};
  if (!quantity.test(value)) {
    throw new InjectionRefused(`annotation ${key} of the pod is "${value}": write a quantity such as 100m or 64Mi`);
  }
  return { [name]: value };
}

function exceeds(one: string | undefined, other: string): boolean {
  return one !== undefined && toNumber(one) > toNumber(other);
}

const factors: Readonly<Record<string, number>> = {
  m: 1e-3,
  k: 1e3,
  Ki: 2 ** 10,
  M: 1e6,
  Mi: 2 ** 20,
  G: 1e9,
  Gi: 2 ** 30,
  T: 1e12,
  Ti: 2 ** 40,
};

function toNumber(text: string): number {
  const [, digits, unit] = quantity.exec(text) ?? [];
  return digits === undefined ? Number.NaN : Number(digits) * (unit === undefined ? 1 : (factors[unit] ?? 1));
}

/** Worker threads: each has its own connections, so no more than it may use. */
export function toConcurrency({ limits }: Resources, wanted = 2): number {
  const cpu = limits?.['cpu'];
  const most = cpu === undefined ? Number.NaN : Math.ceil(toNumber(cpu));
  return Math.max(1, Number.isNaN(most) ? wanted : Math.min(wanted, most));
}
