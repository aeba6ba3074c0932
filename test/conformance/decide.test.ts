import assert from 'node:assert/strict';
import { loadScenario, scenarioNames } from '../support/scenario.ts';
import { titleOf } from './calls.ts';
import { assertOutcome, decideCall } from './decide-call.ts';
import { skipReason } from './skips.ts';

describe('conformance of decide', () => {
  for (const name of scenarioNames()) {
    it(`${name}: every call ends as calls.yaml says`, async function () {
      const { model, calls } = await loadScenario(name);
      const titles = calls.map(titleOf);
      assert.deepEqual(
        titles.filter((title, i) => titles.indexOf(title) !== i),
        [],
        'two calls of one title',
      );
      for (const call of calls) {
        const title = titleOf(call);
        if (skipReason('decide', name, title) !== undefined) continue;
        try {
          assertOutcome(decideCall(model, call), call.expect);
        } catch (error) {
          throw new Error(`${title}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
        }
      }
    });
  }
});
