/** A text with places to be filled in: `{device} is at {value} °C`. */
export interface Template {
  /** The names between braces, in order of appearance, each once. */
  readonly names: readonly string[];
  /** The text, each `{name}` replaced by its value. A value that is undefined leaves it standing. */
  fill(lookUp: (name: string) => string | undefined): string;
}

const place = /\{([^{}]*)\}/;

/** Any text is a template; braces that hold no name stand for themselves. */
export function parseTemplate(text: string): Template {
  // Every second part is a name.
  const parts = text.split(place);
  const names = parts.filter((_, index) => index % 2 === 1);
  return {
    names: [...new Set(names)],
    fill(lookUp) {
      let filled = parts[0]!;
      for (let index = 1; index < parts.length; index += 2) {
        const name = parts[index]!;
        filled += lookUp(name) ?? `{${name}}`;
        filled += parts[index + 1]!;
      }
      return filled;
    },
  };
}
