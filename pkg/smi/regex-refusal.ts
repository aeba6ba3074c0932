/** Why a pattern isn't taken: `unsupported` is understood and has no place here, `invalid` is a slip. */
export interface SyntaxFault {
  readonly kind: 'unsupported' | 'invalid';
  readonly message: string;
  readonly fix?: string;
}

/** Thrown while a pattern is read, and caught by the one who asked. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly fault: SyntaxFault;

  constructor(fault: SyntaxFault) {
    super(fault.message);
    this.fault = fault;
  }
}

export function refuse(message: string, fix?: string): never {
  throw new Refusal({ kind: 'invalid', message, ...(fix !== undefined && { fix }) });
}

export function refuseConstruct(construct: string, fix?: string): never {
  throw new Refusal({ kind: 'unsupported', message: construct, ...(fix !== undefined && { fix }) });
}

export const inAscii =
  'paths and headers are compared byte by byte: in a path, write the bytes as they are sent, as %C3%A9';

export function refuseCharacter(char: string): never {
  const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  if (char < '\x80') {
    refuse(
      `it has the control character U+${code} in it`,
      'write it as \\x and two digits; a line feed may come of how YAML has the text',
    );
  }
  const isAlone = /\p{Surrogate}/u.test(char);
  refuseConstruct(
    `U+${code}${isAlone ? '' : ` (${char})`} is not ASCII, and Envoys read it in different ways`,
    inAscii,
  );
}
