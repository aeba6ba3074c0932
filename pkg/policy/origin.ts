/** The object of the user's that a piece of policy comes from, so that a verdict can name it. */
export interface Origin {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}
