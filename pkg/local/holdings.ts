/** What was opened for one pod, to be closed together. */
export interface Holdings {
  /** Closes it at the release; at once, when that has been. */
  add(close: () => void): void;
  /** Closes all, the last first; once. */
  release(): void;
}

export function createHoldings(): Holdings {
  let closes: (() => void)[] | undefined = [];
  return {
    add(close) {
      if (closes) closes.push(close);
      else close();
    },
    release() {
      const all = closes ?? [];
      closes = undefined;
      for (const close of all.reverse()) close();
    },
  };
}
