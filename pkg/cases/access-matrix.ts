import { type Access, everybody, routeText, type ServiceAccess } from './access-table.ts';

/**
 * Who may call whom, as Markdown: a table of Services by sources, then the routes of each Service, one to a line, so that
 * a review shows what a change of policy changes.
 */
export function toMatrix(table: ReadonlyMap<string, ServiceAccess>): string {
  const services = [...table.values()];
  const sources = [...new Set(services.flatMap(({ bySource }) => [...bySource.keys()]))].sort();
  const lines = [
    '# Who may call whom',
    '',
    ...(sources.length === 0
      ? ['Nobody may call anybody.']
      : [
          `| to \\ from | ${sources.map(sourceText).join(' | ')} |`,
          `| --- |${sources.map(() => ' --- |').join('')}`,
          ...services.map(
            (access) => `| ${access.service} | ${sources.map((source) => cell(access, source)).join(' | ')} |`,
          ),
        ]),
  ];
  for (const access of services) {
    lines.push('', `## ${access.service}`, '');
    if (access.bySource.size === 0) lines.push('Nobody.');
    else lines.push('| route | from |', '| --- | --- |', ...routeLines(access));
  }
  return `${lines.join('\n')}\n`;
}

function routeLines({ bySource, backends }: ServiceAccess): readonly string[] {
  const byRoute = new Map<string, string[]>();
  for (const [source, list] of bySource) {
    for (const access of list) {
      const key = routeText(access.route);
      byRoute.set(key, [...(byRoute.get(key) ?? []), `${sourceText(source)}${limited(access, backends)}`]);
    }
  }
  return [...byRoute]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([route, from]) => `| \`${escape(route)}\` | ${from.join(', ')} |`);
}

function limited({ backends }: Access, all: ReadonlySet<string>): string {
  return [...all].every((name) => backends.has(name)) ? '' : ` (${[...backends].sort().join(', ')} only)`;
}

function cell({ bySource }: ServiceAccess, source: string): string {
  const list = bySource.get(source) ?? [];
  if (list.length === 0) return '';
  if (list.some(({ route }) => routeText(route) === 'anything')) return 'all';
  return `${list.length} route${list.length === 1 ? '' : 's'}`;
}

function sourceText(source: string): string {
  return source === everybody ? 'everybody' : source;
}

function escape(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('`', "'");
}
