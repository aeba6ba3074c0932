import type { MeshFacts } from '../explain/mesh-facts.ts';
import type { Problem } from '../problem/problem.ts';
import { namesByCase, pathPatterns, redundantMatches, strippedHeaders, unusedRoutes } from './match-rules.ts';
import {
  headerShapes,
  misleadingPorts,
  oldVersions,
  permissiveLeftOn,
  selectorsWithoutPods,
  unreachableWorkloads,
} from './mesh-rules.ts';
import type { AnalysisRule } from './rule.ts';
import { splitSelectors, splitsWithoutEffect } from './split-rules.ts';
import { opensEverything, opensNothing, redundantTargets, rehearsals } from './target-rules.ts';

/** To add a rule: write it in a file by its subject, add its line here, its reason to problemReasons, and a heading to docs/problems.md. */
const rules: readonly AnalysisRule[] = [
  pathPatterns,
  strippedHeaders,
  redundantMatches,
  namesByCase,
  unusedRoutes,
  opensNothing,
  opensEverything,
  redundantTargets,
  rehearsals,
  splitsWithoutEffect,
  splitSelectors,
  misleadingPorts,
  selectorsWithoutPods,
  unreachableWorkloads,
  permissiveLeftOn,
  oldVersions,
  headerShapes,
];

/** What is in force and likely not meant: mistakes that people make. Beside what reading and building report. */
export function analyzeMesh(facts: MeshFacts): readonly Problem[] {
  return rules.flatMap((rule) => rule(facts));
}
