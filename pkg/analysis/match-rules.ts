import { coversMatch, isAnyPath, isLiteral } from '../explain/match-cover.ts';
import { normalizePath } from '../policy/normalize-path.ts';
import type { HTTPRouteGroupMatch } from '../smi/http-route-group/http-route-group.ts';
import { type Advice, type AnalysisRule, onEach } from './rule.ts';

/** Patterns that mean something else than they look like, or nothing at all (DECISIONS S5, S14). */
export const pathPatterns: AnalysisRule = ({ smi, snapshot }) =>
  onEach(smi.groups.values(), ({ matches }, report) => {
    for (const { index, pathRegex } of matches) {
      const advice = pathRegex === undefined ? undefined : adviceOn(pathRegex, snapshot.config.pathMatch);
      if (advice) report(`/spec/matches/${index}/pathRegex`, advice);
    }
  });

function adviceOn(pattern: string, pathMatch: 'full' | 'start'): Advice | undefined {
  const never = neverMatches(pattern);
  if (never) return never;
  const glob = /^([^\\.+*?()|[\]{}^$]*[^\\.+*?()|[\]{}^$])\*$/.exec(pattern);
  if (glob) {
    const [, stem = ''] = glob;
    return {
      severity: 'warning',
      reason: 'PathGlob',
      message: `"*" repeats the character before it, "${stem.at(-1)}": this is no glob, and ${stem}x does not match`,
      fix: `write ${stem}.* if all that begins so is meant`,
    };
  }
  if (pathMatch === 'start') return undefined;
  const open = pattern.startsWith('^') && !/[$*]$/.test(pattern);
  const folder = pattern.length > 1 && pattern.endsWith('/') && isLiteral(pattern);
  if (!open && !folder) return undefined;
  return {
    severity: 'warning',
    reason: 'PathAnchoring',
    message: `a pattern matches the whole path here, so nothing behind ${pattern.replace(/^\^/, '')} is let pass; SMI's own text would leave the end open`,
    fix: `write ${pattern.replace(/^\^/, '')}.* if what is below it is meant, else ${folder ? 'remove the slash at the end' : 'leave the "^" out'}`,
  };
}

function neverMatches(pattern: string): Advice | undefined {
  const why = reasonNever(pattern);
  return why === undefined
    ? undefined
    : { severity: 'warning', reason: 'PathNeverMatches', message: why.message, fix: why.fix };
}

function reasonNever(pattern: string): { readonly message: string; readonly fix: string } | undefined {
  const text = pattern.replace(/^\^/, '');
  if (/^[A-Za-z0-9_-]/.test(text) && !text.includes('|')) {
    return {
      message: 'a path begins with a slash, and this pattern does not, so it matches nothing',
      fix: `write /${text}`,
    };
  }
  if (/^[^|()]*\\\?/.test(pattern)) {
    return {
      message: 'the query is no part of the path, so a pattern with "?" in it matches nothing',
      fix: 'leave the query out: it is never looked at',
    };
  }
  if (!isLiteral(pattern) || !pattern.startsWith('/')) return undefined;
  const normal = normalizePath(pattern);
  if (normal.ok && normal.query === '' && normal.path === pattern) return undefined;
  return {
    message: `paths are normalised before they are matched${normal.ok ? ` (to ${normal.path})` : ''}, so nothing ever is ${pattern}`,
    fix: normal.ok ? `write ${normal.path}` : 'write the path as the app sees it, unescaped',
  };
}

/** Headers that no request ever has when it comes to policy. */
export const strippedHeaders: AnalysisRule = ({ smi }) =>
  onEach(smi.groups.values(), ({ matches }, report) => {
    for (const { index, headers } of matches) {
      const name = headers?.find(({ name }) => isStripped(name))?.name;
      if (name === undefined) continue;
      report(`/spec/matches/${index}/headers`, {
        severity: 'warning',
        reason: 'HeaderNeverMatches',
        message: `the sidecars take "${name}" out of every request, so a match that asks for it matches nothing`,
        fix: 'ask for a header that the client may set',
      });
    }
  });

function isStripped(name: string): boolean {
  const hop = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'proxy-authorization'];
  return name.startsWith('x-envoy-') || name.startsWith('x-tulle-') || hop.includes(name);
}

/** Matches are alternatives: what another lets pass in any case restricts nothing. */
export const redundantMatches: AnalysisRule = ({ smi }) =>
  onEach(smi.groups.values(), (group, report) => {
    const used = selections(smi, group);
    for (const match of group.matches) {
      const other = group.matches.find((wider) => {
        const sameWay = covers(wider, match) && (!covers(match, wider) || wider.index < match.index);
        return wider !== match && sameWay && used.some((names) => names.has(wider.name) && names.has(match.name));
      });
      if (other === undefined) continue;
      const all = isAnyPath(other.pathRegex) ? ', and it is any path' : '';
      report(`/spec/matches/${match.index}/name`, {
        severity: 'warning',
        reason: 'MatchRedundant',
        message: `matches are alternatives, and "${other.name}" lets pass all that "${match.name}" does${all}: this one changes nothing`,
        fix: `remove one of them, or name in the TrafficTarget the one that is meant`,
      });
    }
  });

function covers(a: HTTPRouteGroupMatch, b: HTTPRouteGroupMatch): boolean {
  return coversMatch({ ...withPath(a) }, { ...withPath(b) });
}

function withPath({ pathRegex, methods, headers }: HTTPRouteGroupMatch): Parameters<typeof coversMatch>[0] {
  return {
    ...(pathRegex !== undefined && { path: pathRegex }),
    ...(methods && { methods }),
    ...(headers && { headers }),
  };
}

type Smi = Parameters<AnalysisRule>[0]['smi'];
type Group = Smi['groups'] extends ReadonlyMap<string, infer G> ? G : never;

/** The sets of matches of a group that something takes together. */
function selections(smi: Smi, group: Group): readonly ReadonlySet<string>[] {
  const all = new Set(group.matches.map(({ name }) => name));
  const rules = smi.targets
    .filter(({ namespace }) => namespace === group.namespace)
    .flatMap(({ rules: own }) => own.filter(({ kind, name }) => kind === 'HTTPRouteGroup' && name === group.name));
  const splits = smi.splits.some(
    ({ namespace, matches }) => namespace === group.namespace && matches?.some(({ name }) => name === group.name),
  );
  return [...rules.map(({ matches }) => (matches ? new Set(matches) : all)), ...(splits ? [all] : [])];
}

/** Names that a reader takes for one. */
export const namesByCase: AnalysisRule = ({ smi }) =>
  onEach(smi.groups.values(), ({ matches }, report) => {
    const seen = new Map<string, string>();
    for (const { name, index } of matches) {
      const other = seen.get(name.toLowerCase());
      if (other !== undefined && other !== name) {
        report(`/spec/matches/${index}/name`, {
          severity: 'warning',
          reason: 'NamesDifferByCase',
          message: `"${name}" and "${other}" are two matches: case counts`,
          fix: 'give them names that a reader can tell apart',
        });
      }
      seen.set(name.toLowerCase(), name);
    }
  });

/** Routes, and matches of them, that nothing names. */
export const unusedRoutes: AnalysisRule = ({ smi }) => {
  const groups = onEach(smi.groups.values(), (group, report) => {
    const used = selections(smi, group);
    if (used.length === 0) {
      report('/metadata/name', {
        severity: 'info',
        reason: 'RouteUnused',
        message: `no TrafficTarget or TrafficSplit of namespace "${group.namespace}" names it`,
        fix: 'name it, or remove it',
      });
      return;
    }
    for (const { name, index } of group.matches) {
      if (used.some((names) => names.has(name))) continue;
      report(`/spec/matches/${index}/name`, {
        severity: 'info',
        reason: 'MatchUnused',
        message: `no TrafficTarget names the match "${name}"`,
        fix: 'name it, or remove it',
      });
    }
  });
  const routes = onEach([...smi.tcpRoutes.values(), ...smi.udpRoutes.values()], ({ kind, namespace, name }, report) => {
    const used = smi.targets.some(
      (target) =>
        target.namespace === namespace && target.rules.some((rule) => rule.kind === kind && rule.name === name),
    );
    if (used) return;
    report('/metadata/name', {
      severity: 'info',
      reason: 'RouteUnused',
      message: `no TrafficTarget of namespace "${namespace}" names it`,
      fix: 'name it, or remove it',
    });
  });
  return [...groups, ...routes];
};
