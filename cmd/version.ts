/** Written in when the programs are bundled. */
declare const TULLE_VERSION: string | undefined;
/** Of the environment of the build; empty when it said nothing. */
declare const TULLE_COMMIT: string | undefined;
declare const TULLE_BUILT: string | undefined;

export const version = typeof TULLE_VERSION === 'string' ? TULLE_VERSION : 'development';

export const build = {
  commit: typeof TULLE_COMMIT === 'string' ? TULLE_COMMIT : '',
  built: typeof TULLE_BUILT === 'string' ? TULLE_BUILT : '',
};
