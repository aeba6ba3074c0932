/** Written in when the programs are bundled. */
declare const TULLE_VERSION: string | undefined;

export const version = typeof TULLE_VERSION === 'string' ? TULLE_VERSION : 'development';
