import type { EncodedResource, ResourceView } from './resources.ts';

interface Layers {
  readonly under: ResourceView;
  readonly over: ResourceView;
}

const layers = new WeakMap<ResourceView, Layers>();
const overlays = new WeakMap<ResourceView, WeakMap<ResourceView, ResourceView>>();

/**
 * One view laid over another that many share: where both have a name, the upper one holds. Nothing is copied, and what
 * changed between two such views follows from what changed in their layers: a thousand clients that differ in a few
 * resources share the rest, and the work for it. The same pair gives the same view.
 */
export function toOverlay(under: ResourceView, over: ResourceView): ResourceView {
  if (over.resources.size === 0) return under;
  const known = overlays.get(over) ?? new WeakMap<ResourceView, ResourceView>();
  overlays.set(over, known);
  const view = known.get(under) ?? { resources: new OverlayMap(under.resources, over.resources) };
  known.set(under, view);
  layers.set(view, { under, over });
  return view;
}

/** The layers of a view that has them; any other view is a layer itself, with nothing over it. */
export function layersOf(view: ResourceView): Layers | undefined {
  return layers.get(view);
}

type Resources = ReadonlyMap<string, EncodedResource>;

class OverlayMap implements Resources {
  readonly #under: Resources;
  readonly #over: Resources;
  #hidden: number | undefined;

  constructor(under: Resources, over: Resources) {
    this.#under = under;
    this.#over = over;
  }

  get size(): number {
    if (this.#hidden === undefined) {
      this.#hidden = 0;
      for (const name of this.#over.keys()) if (this.#under.has(name)) this.#hidden += 1;
    }
    return this.#under.size + this.#over.size - this.#hidden;
  }

  get(name: string): EncodedResource | undefined {
    return this.#over.get(name) ?? this.#under.get(name);
  }

  has(name: string): boolean {
    return this.#over.has(name) || this.#under.has(name);
  }

  *entries(): MapIterator<[string, EncodedResource]> {
    yield* this.#over.entries();
    for (const entry of this.#under) if (!this.#over.has(entry[0])) yield entry;
  }

  *keys(): MapIterator<string> {
    for (const [name] of this.entries()) yield name;
  }

  *values(): MapIterator<EncodedResource> {
    for (const [, resource] of this.entries()) yield resource;
  }

  forEach(callback: (value: EncodedResource, key: string, map: Resources) => void): void {
    for (const [name, resource] of this.entries()) callback(resource, name, this);
  }

  [Symbol.iterator](): MapIterator<[string, EncodedResource]> {
    return this.entries();
  }
}
