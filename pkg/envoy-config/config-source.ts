import type { ConfigSource } from './envoy-types.ts';

/** Everything comes over the one ADS stream. */
export const ads: ConfigSource = { ads: {}, resource_api_version: 'V3' };

/** Waits for as long as it takes: after Envoy's default of 15 s it would report ready with nothing loaded (DECISIONS E6). */
export const adsPatiently: ConfigSource = {
  ...ads,
  initial_fetch_timeout: '0s',
};
