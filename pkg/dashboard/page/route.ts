import { useEffect, useState } from 'preact/hooks';

/** What is shown: the overview, or one trace. Kept in the address, so that it can be shared and gone back from. */
export type Route = { readonly page: 'overview' } | { readonly page: 'trace'; readonly traceId: string };

function parseRoute(hash: string): Route {
  const [, traceId] = /^#\/trace\/([0-9a-fA-F]{1,32})$/.exec(hash) ?? [];
  return traceId === undefined ? { page: 'overview' } : { page: 'trace', traceId };
}

export function traceHref(traceId: string): string {
  return `#/trace/${traceId}`;
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const onChange = (): void => setRoute(parseRoute(location.hash));
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  return route;
}
