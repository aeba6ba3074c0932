import { InvalidArgumentError, Option } from 'commander';
import { parseDuration, parseWait } from './duration.ts';

/** Options that several commands have, and how their values are read. */
export function outputOption(choices: readonly string[] = ['text', 'json']): Option {
  return new Option('-o, --output <format>', 'how to print').choices([...choices]).default(choices[0]);
}

/** For `.option(…, collect, [])`: an option that may be repeated. */
export function collect(value: string, list: readonly string[]): readonly string[] {
  return [...list, value];
}

export function collectPort(value: string, list: readonly number[]): readonly number[] {
  return [...list, toPort(value)];
}

export function toPort(value: string): number {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('a port is a number from 1 to 65535.');
  return port;
}

/** The name of a namespace, a mesh or another thing that Kubernetes has one part of a DNS name for. */
export function toName(value: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value))
    throw new InvalidArgumentError('a name has small letters, digits and "-" only.');
  return value;
}

/** `a` or `a,b`. */
export function toNames(value: string): string {
  return value.split(',').map(toName).join(',');
}

/** As it was written, since it is told again, with the unit that a bare number has: `10s` for `10`. */
export function toDuration(value: string): string {
  return withUnit(value, parseDuration);
}

/** One that is waited for. */
export function toWait(value: string): string {
  return withUnit(value, parseWait);
}

function withUnit(value: string, parse: (text: string) => number): string {
  try {
    parse(value);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  const text = value.trim();
  return /[a-z]$/.test(text) ? text : `${text}s`;
}

export function toUrl(value: string): string {
  if (!/^https?:\/\/[^/]/.test(value) || !URL.canParse(value))
    throw new InvalidArgumentError('a URL is written http://localhost:4318.');
  return value;
}
