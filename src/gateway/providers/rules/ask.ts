/** Asks the user for exactly what is missing. */
import type { Missing } from "./find-arguments.ts";
import { askingPhrase } from "./own-question.ts";
import { choicesOf, type ToolProfile } from "./tool-profile.ts";
import { isStopWord } from "./vocabulary.ts";
import { capitalised, spoken } from "./words.ts";

const maxOptions = 8;

export function askFor(tool: ToolProfile, missing: readonly Missing[]): string {
  const opening = `Before I can use ${spoken(tool.name)}, ${askingPhrase}`;
  const [only, ...more] = missing;
  if (only !== undefined && more.length === 0) return `${opening} the ${wish(only).replace(/^the /u, "")}`;
  return [`${opening}:`, ...missing.map((each) => `- ${capitalised(wish(each))}`)].join("\n");
}

/** "order id (which of A-1001, A-1002?)" or "amount: how much to refund, in US dollars." */
function wish({ property, options }: Missing): string {
  const choices = options.length > 0 ? options : choicesOf(property.schema);
  const listed = choices.slice(0, maxOptions).map(String).join(", ");
  const which = choices.length === 0 ? "." : ` (which of ${listed}${choices.length > maxOptions ? ", …" : ""}?)`;
  const description = property.description.replace(/\.$/u, "");
  const name = spoken(property.name);
  // "the to" and "the for" are no English: such a name leaves its place to the description.
  if (isStopWord(name) && description !== "")
    return `${description.charAt(0).toLowerCase()}${description.slice(1)}${which}`;
  return `${name}${description === "" ? "" : `: ${description}`}${which}`;
}
