/** How much is measured: `tiny` shows that a case runs at all, its figures say nothing. */
export type Size = 'tiny' | 'quick' | 'full';
