/** The settings of the apps, all from the environment. */
export function setting(name: string, otherwise: string): string {
  return process.env[name] ?? otherwise;
}

export function numberSetting(name: string, otherwise: number): number {
  const value = Number(process.env[name] ?? otherwise);
  return Number.isFinite(value) && value >= 0 ? value : otherwise;
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
