import { isIP } from 'node:net';

/** `10.0.0.7`, `fd00::7`, `::ffff:10.0.0.7`: one spelling for each address; undefined: it is none. */
export function toAddress(text: string): string | undefined {
  const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
  switch (isIP(plain)) {
    case 4:
      return plain;
    case 6:
      // The URL standard writes an address in one way only.
      return new URL(`http://[${plain.replace(/%.*$/, '')}]`).hostname;
    default:
      return undefined;
  }
}
