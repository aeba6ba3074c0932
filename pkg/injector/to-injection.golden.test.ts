import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { matchGolden } from '../../test/support/golden.ts';
import { bootstrapOf, injected, meshed } from './injection.fixture.ts';
import type { InjectionNamespace, InjectionSettings } from './injection-settings.ts';
import type { Pod } from './pod.ts';

const directory = join(import.meta.dirname, 'testdata');

interface Case {
  readonly pod: Pod;
  readonly settings?: Partial<InjectionSettings>;
  readonly namespace?: Partial<InjectionNamespace>;
}

/** `testdata/NAME.in.yaml` holds a pod as the API server sends it, and what differs from the usual settings. */
describe('injected pods', () => {
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.in.yaml'))) {
    const name = file.slice(0, -'.in.yaml'.length);
    it(`are as written down: ${name}`, () => {
      const { pod, settings = {}, namespace = {} } = parse(readFileSync(join(directory, file), 'utf8')) as Case;
      const { pod: result, warnings } = injected(pod, { ...meshed, ...namespace }, settings);
      const { static_resources } = bootstrapOf(result);
      const text = JSON.stringify(result, (key, value: unknown) => (key === 'args' ? withoutBootstrap(value) : value));
      matchGolden(join(directory, `${name}.out.yaml`), {
        pod: JSON.parse(text) as unknown,
        ...(warnings.length > 0 ? { warnings } : {}),
        bootstrap: { static_resources },
      });
    });
  }
});

function withoutBootstrap(args: unknown): unknown {
  if (!Array.isArray(args)) return args;
  return args.map((arg, at) => (args[at - 1] === '--config-yaml' ? 'see below' : (arg as unknown)));
}
