import type { InjectionSettings } from './injection-settings.ts';

export function toPullPolicy({ imagePullPolicy }: InjectionSettings): { readonly imagePullPolicy?: string } {
  return imagePullPolicy === undefined ? {} : { imagePullPolicy };
}
