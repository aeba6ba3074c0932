import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { formatProblem } from '../../pkg/problem/problem.ts';
import { describeModel } from '../support/describe-policy.ts';
import { matchGolden } from '../support/golden.ts';
import { loadScenario, scenarioFile, scenarioNames } from '../support/scenario.ts';

describe('scenarios', () => {
  for (const name of scenarioNames()) {
    it(`${name}: becomes the problems and policies that its files say`, async () => {
      const comment = readFileSync(scenarioFile(name, 'mesh.in.yaml'), 'utf8');
      assert.match(comment, /^# \S/, 'mesh.in.yaml does not open with a comment that says what the case is about');
      const { model, problems, calls } = await loadScenario(name);
      assert.ok(calls.length > 0 || problems.length > 0, 'neither calls nor problems: the scenario shows nothing');
      matchGolden(
        scenarioFile(name, 'problems.out.yaml'),
        problems.map((problem) => `${problem.severity} ${formatProblem(problem)}`),
      );
      matchGolden(scenarioFile(name, 'policy.out.yaml'), describeModel(model));
    });
  }
});
