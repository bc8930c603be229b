/** Which tool a clause asks for. */
import { findArguments, type Scope } from "./find-arguments.ts";
import { allInText } from "./find-in-text.ts";
import type { Clause } from "./request.ts";
import { changes, type ToolProfile } from "./tool-profile.ts";
import { isStopWord, synonymsOf } from "./vocabulary.ts";
import { stem, wordsOf } from "./words.ts";

export interface Match {
  readonly tool: ToolProfile;
  readonly score: number;
}

/** The score a tool needs when the words of its name are not in the clause. */
const enoughWithoutName = 1.6;

/** The tool that fits a clause best, or null. */
export function matchTool(tools: readonly ToolProfile[], scope: Scope): Match | null {
  const rarity = rarityIn(tools);
  const matches = tools
    .filter((tool) => mayServe(tool, scope.clause))
    .flatMap((tool) => score(tool, scope, rarity) ?? [])
    .toSorted((a, b) => b.score - a.score);
  return matches[0] ?? searchTool(tools, scope.clause);
}

/** Verbs of change that may well mean a look: "open the report". */
const maybeLooking = new Set(["open", "print", "run"]);

/** What changes something must be ordered, by its own verb; an order to change something is not met by a look. */
function mayServe(tool: ToolProfile, clause: Clause): boolean {
  const first = clause.words[0] ?? "";
  const namesTool = tool.nameWords.includes(first);
  if (!changes(tool)) return clause.action === null || clause.action === "read" || maybeLooking.has(first) || namesTool;
  return clause.mood === "order" && (clause.action === tool.action || (clause.action === null && namesTool));
}

function score(tool: ToolProfile, scope: Scope, rarity: (word: string) => number): Match | null {
  const { clause } = scope;
  let sum = 0;
  let hits = 0;
  for (const word of clause.stems) {
    const weight = Math.max(
      tool.weights.get(word) ?? 0,
      ...synonymsOf(word).map((other) => 0.7 * (tool.weights.get(other) ?? 0)),
    );
    if (weight > 0) hits += 1;
    sum += weight * rarity(word);
  }
  const plural = clause.words.filter((word) => word.endsWith("s") && tool.nameWords.includes(word)).length;
  const singular = clause.words.filter(
    (word) => !word.endsWith("s") && tool.nameWords.includes(word) && hasNoun(tool, word),
  ).length;
  const verb = clause.action !== null && clause.action === tool.action ? 2 : 0;
  const values = exactValues(tool, clause);
  const missing = findArguments(tool, scope).missing.filter(
    ({ property }) => property.role === "identifier" || property.role === "email",
  );
  const named = tool.nouns.some(
    (noun) => clause.stems.has(noun) || synonymsOf(noun).some((other) => clause.stems.has(other)),
  );
  const total = sum + verb + 0.5 * plural + 0.5 * singular + 1.5 * values - missing.length;
  const evident = named || (changes(tool) && verb > 0) || values > 0 || (hits >= 2 && total >= enoughWithoutName);
  return evident ? { tool, score: total } : null;
}

function hasNoun(tool: ToolProfile, word: string): boolean {
  return tool.nouns.includes(stem(word));
}

/** How many of its arguments the clause names by an exact value. */
function exactValues(tool: ToolProfile, clause: Clause): number {
  const taking = tool.properties.filter((property) => {
    if (property.role !== "identifier" && property.role !== "email" && property.role !== "url") return false;
    return allInText(property, { clause, tool, used: new Set() }).length > 0;
  });
  return taking.length;
}

/** Words that few tools use say more. */
function rarityIn(tools: readonly ToolProfile[]): (word: string) => number {
  return (word) => {
    const using = tools.filter(({ weights }) => weights.has(word)).length;
    return Math.log2(1 + tools.length / Math.max(1, using)) / Math.log2(1 + tools.length);
  };
}

/** A question that names nothing exactly goes to the tool that searches by words, if it has any of these words. */
function searchTool(tools: readonly ToolProfile[], clause: Clause): Match | null {
  if (clause.mood === "order") return null;
  const remarks = [...clause.preface, ...clause.notes].flatMap(wordsOf).filter((word) => !isStopWord(word));
  const said = new Set([...clause.stems, ...remarks.map(stem)]);
  const overlap = (tool: ToolProfile): number => [...said].filter((word) => tool.weights.has(word)).length;
  const searching = tools
    .filter((tool) => !changes(tool) && tool.properties.some(({ role }) => role === "query") && overlap(tool) > 0)
    .toSorted((a, b) => overlap(b) - overlap(a));
  return searching[0] === undefined ? null : { tool: searching[0], score: overlap(searching[0]) };
}
