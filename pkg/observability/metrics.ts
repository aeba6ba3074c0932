export type Labels = Readonly<Record<string, string>>;

export interface Counter {
  inc(labels?: Labels, by?: number): void;
  /** The same for one set of labels, looked up once: for hot paths. */
  child(labels: Labels): { inc(by?: number): void };
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
  add(by: number, labels?: Labels): void;
}

export interface Histogram {
  /** In base units: seconds, bytes. */
  observe(value: number, labels?: Labels): void;
  child(labels: Labels): { observe(value: number): void };
}

/** Seconds, from a fast local hop to a request that timed out. */
export const durationBuckets: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** Label sets beyond this are counted together under `other`, so that nobody can fill the memory with names. */
const maxChildren = 2000;

interface Family {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly labelNames: readonly string[];
  readonly buckets: readonly number[];
  readonly children: Map<string, Child>;
}

interface Child {
  readonly labels: string;
  value: number;
  count: number;
  readonly buckets: Float64Array;
}

/**
 * A registry of metrics, rendered in the text format of Prometheus 0.0.4.
 *
 * The same name asked for twice is the same metric, if kind and labels agree; a disagreement is a bug and throws.
 */
export class Metrics {
  readonly #families = new Map<string, Family>();
  readonly #collectors: (() => void)[] = [];

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    const family = this.#family({ name, help, kind: 'counter', labelNames, buckets: [] });
    return {
      inc: (labels = {}, by = 1) => {
        childOf(family, labels).value += by;
      },
      child: (labels) => {
        const child = childOf(family, labels);
        return {
          inc: (by = 1) => {
            child.value += by;
          },
        };
      },
    };
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    const family = this.#family({ name, help, kind: 'gauge', labelNames, buckets: [] });
    return {
      set: (value, labels = {}) => {
        childOf(family, labels).value = value;
      },
      add: (by, labels = {}) => {
        childOf(family, labels).value += by;
      },
    };
  }

  histogram(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
    buckets: readonly number[] = durationBuckets,
  ): Histogram {
    const family = this.#family({ name, help, kind: 'histogram', labelNames, buckets });
    return {
      observe: (value, labels = {}) => observe(family, childOf(family, labels), value),
      child: (labels) => {
        const child = childOf(family, labels);
        return { observe: (value) => observe(family, child, value) };
      },
    };
  }

  /** Runs before each `render`, to set gauges that are cheaper to look up than to keep. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** All metrics, in the order of their names. Content type: `metricsContentType`. */
  render(): string {
    for (const collect of this.#collectors) collect();
    const families = [...this.#families.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return families.map(renderFamily).join('');
  }

  #family(wanted: Omit<Family, 'children'>): Family {
    if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(wanted.name)) throw new Error(`not a metric name: ${wanted.name}`);
    const known = this.#families.get(wanted.name);
    if (known) {
      if (known.kind !== wanted.kind || known.labelNames.join() !== wanted.labelNames.join()) {
        throw new Error(`metric ${wanted.name} is registered with another shape`);
      }
      return known;
    }
    const family: Family = { ...wanted, children: new Map() };
    // A metric without labels shows as 0 from the start, so that a rate over it is defined.
    if (wanted.labelNames.length === 0) childOf(family, {});
    this.#families.set(wanted.name, family);
    return family;
  }
}

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

function keyOf({ labelNames }: Family, labels: Labels): string {
  let key = '';
  for (const name of labelNames) key += `${labels[name] ?? ''}\u0000`;
  return key;
}

function childOf(family: Family, labels: Labels): Child {
  const key = keyOf(family, labels);
  const known = family.children.get(key);
  if (known) return known;
  if (family.children.size >= maxChildren) {
    const other = Object.fromEntries(family.labelNames.map((name) => [name, 'other']));
    const otherKey = keyOf(family, other);
    const sink = family.children.get(otherKey) ?? createChild(family, other);
    family.children.set(otherKey, sink);
    return sink;
  }
  const child = createChild(family, labels);
  family.children.set(key, child);
  return child;
}

function createChild({ labelNames, buckets }: Family, labels: Labels): Child {
  const text = labelNames.map((name) => `${name}="${escapeLabel(labels[name] ?? '')}"`).join(',');
  return { labels: text, value: 0, count: 0, buckets: new Float64Array(buckets.length) };
}

function observe({ buckets }: Family, child: Child, value: number): void {
  child.value += value;
  child.count += 1;
  for (let i = 0; i < buckets.length; i++) {
    if (value <= (buckets[i] as number)) {
      child.buckets[i] = (child.buckets[i] as number) + 1;
      return;
    }
  }
}

function renderFamily(family: Family): string {
  const { name, help, kind, children } = family;
  let text = `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${kind}\n`;
  for (const child of children.values()) {
    text +=
      kind === 'histogram'
        ? renderHistogram(family, child)
        : `${name}${child.labels === '' ? '' : `{${child.labels}}`} ${child.value}\n`;
  }
  return text;
}

function renderHistogram({ name, buckets }: Family, child: Child): string {
  const prefix = child.labels === '' ? '' : `${child.labels},`;
  const braces = child.labels === '' ? '' : `{${child.labels}}`;
  let text = '';
  let total = 0;
  for (let i = 0; i < buckets.length; i++) {
    total += child.buckets[i] as number;
    text += `${name}_bucket{${prefix}le="${buckets[i]}"} ${total}\n`;
  }
  return `${text}${name}_bucket{${prefix}le="+Inf"} ${child.count}\n${name}_sum${braces} ${child.value}\n${name}_count${braces} ${child.count}\n`;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
