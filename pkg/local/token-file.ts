import { writeAtomically } from './run-directory.ts';

/** Well before the hour that a token lives. */
const renewMs = 30 * 60_000;
const retryMs = 60_000;

/** Writes a token and renews it until the signal; resolves when the first one is there. */
export async function keepToken(
  file: string,
  mint: () => Promise<string>,
  onProblem: (error: Error) => void,
  signal: AbortSignal,
): Promise<void> {
  writeAtomically(file, await mint());
  let timer: NodeJS.Timeout | undefined;
  const renew = (ms: number): void => {
    if (signal.aborted) return;
    timer = setTimeout(() => {
      mint()
        .then((token) => writeAtomically(file, token))
        .then(
          () => renew(renewMs),
          (error: Error) => {
            onProblem(error);
            renew(retryMs);
          },
        );
    }, ms);
    timer.unref();
  };
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  renew(renewMs);
}
