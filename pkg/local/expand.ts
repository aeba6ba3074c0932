/** Kubernetes' `$(NAME)`: replaced when it is known, kept as it stands when not; `$$` stands for one `$`. */
export function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$(?:\$|\(([^()\s]*)\))/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (values.get(name) ?? whole),
  );
}
