/** A model is named `provider/model`; only the first slash separates ("compatible/meta-llama/llama-4" is one of `compatible`). */

export function splitModelName(name: string): { provider: string; id: string } {
  const slash = name.indexOf("/");
  return slash < 0 ? { provider: name, id: "" } : { provider: name.slice(0, slash), id: name.slice(slash + 1) };
}
