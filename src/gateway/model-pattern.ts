/** Whether a model's name fits a pattern of them, in which `*` stands for any characters: `openai/gpt-5`, `anthropic/*`. */
export function fitsPattern(model: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return model === pattern;
  const last = rest.pop() ?? "";
  if (!model.startsWith(first) || !model.endsWith(last) || model.length < first.length + last.length) return false;
  let from = first.length;
  const end = model.length - last.length;
  for (const part of rest) {
    const at = model.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}
