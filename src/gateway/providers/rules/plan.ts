/**
 * What to do next. The plan is worked out afresh at every turn: the errands of the request in their order, replayed over
 * the calls that were made for it, so that no state is kept anywhere but in the conversation itself.
 */
import { canonicalJson, type Json, type JsonObject } from "../../../agent/json.ts";
import { isPartial } from "./choose-fact.ts";
import type { Call, Dialogue } from "./dialogue.ts";
import { factsBefore, type Fact } from "./facts.ts";
import { findArguments, findEveryCall, type Filling, type Missing, type Scope } from "./find-arguments.ts";
import { matchTool } from "./match-tools.ts";
import { readRequest, type Clause } from "./request.ts";
import { changes, type ToolProfile } from "./tool-profile.ts";
import { actionOf } from "./vocabulary.ts";
import { stem, stemsOf } from "./words.ts";

/** One thing the user wants done. */
export interface Errand {
  readonly tool: ToolProfile;
  readonly clause: Clause;
  /** Fixed arguments, where an earlier read is simply done again. */
  readonly given?: JsonObject;
}

export type Move =
  | { readonly kind: "call"; readonly calls: readonly NextCall[] }
  | { readonly kind: "ask"; readonly tool: ToolProfile; readonly missing: readonly Missing[]; readonly report: Report }
  | { readonly kind: "answer"; readonly report: Report }
  | { readonly kind: "talk"; readonly clauses: readonly Clause[] };

/** What came of the request so far. */
export interface Report {
  readonly clauses: readonly Clause[];
  /** The calls that were asked for and those that failed, in order. */
  readonly calls: readonly Call[];
  /** What was left alone after a failure. */
  readonly undone: readonly ToolProfile[];
  /** What stands under a condition that nobody here can judge. */
  readonly conditional: readonly ToolProfile[];
}

export interface NextCall {
  readonly tool: ToolProfile;
  readonly input: JsonObject;
  /** The errand that this call fulfils; null for a read that only supplies another call. */
  readonly errand: number | null;
}

/** Reads that nobody asked for, in one request. */
const maxSupplyingReads = 6;

export function nextMove(dialogue: Dialogue): Move {
  const { tools } = dialogue;
  const verbs = new Set(
    tools.flatMap(({ nameWords }) => nameWords.filter((word) => actionOf(word) !== null || nameWords.length === 1)),
  );
  const clauses = readRequest(dialogue.request, (word) => verbs.has(word));
  const errands = findErrands(clauses, dialogue);
  if (errands.length === 0 && dialogue.rounds.length === 0) return { kind: "talk", clauses };

  const progress: Progress = { done: new Set(), made: [], served: [] };
  dialogue.rounds.forEach((calls, round) => {
    const facts = factsBefore(dialogue, round);
    absorb(calls, decide({ errands, clauses, tools, facts }, progress), { errands, progress });
  });
  if (progress.made.some(({ outcome }) => outcome?.ok === false)) {
    const undone = errands.filter((_, index) => !progress.done.has(index)).map(({ tool }) => tool);
    return { kind: "answer", report: { ...reportOf(progress, clauses), undone } };
  }
  return decide({ errands, clauses, tools, facts: factsBefore(dialogue, dialogue.rounds.length) }, progress);
}

interface Progress {
  /** Errands fulfilled, by index. */
  readonly done: Set<number>;
  readonly made: Call[];
  /** The calls among them that fulfilled an errand. */
  readonly served: Call[];
}

/** Reads that only supplied another call stay out of it, unless there is nothing else to tell. */
function reportOf({ made, served }: Progress, clauses: readonly Clause[]): Report {
  const told = made.filter((call) => served.includes(call) || call.outcome?.ok === false);
  return { clauses, calls: told.length > 0 ? told : made, undone: [], conditional: [] };
}

interface Work {
  readonly errands: readonly Errand[];
  readonly clauses: readonly Clause[];
  readonly tools: readonly ToolProfile[];
  readonly facts: readonly Fact[];
}

function findErrands(clauses: readonly Clause[], dialogue: Dialogue): Errand[] {
  const facts = factsBefore(dialogue, 0);
  return clauses.flatMap((clause): Errand[] => {
    const again = isFollowUp(clause) ? readAgain(clause, dialogue) : null;
    if (again !== null && asksFor(clause, facts)) return [again];
    const match = matchTool(dialogue.tools, {
      clause,
      others: othersThan(clause, clauses),
      facts,
      freshNumbers: false,
    });
    return match !== null ? [{ tool: match.tool, clause }] : again !== null ? [again] : [];
  });
}

/** A word of the question is the name of a value that was read before: "delivered", for `deliveredOn`. */
function asksFor(clause: Clause, facts: readonly Fact[]): boolean {
  return facts.some((fact) => !fact.saidOnly && fact.key.some((word) => clause.stems.has(word)));
}

/** "When will it arrive?": about what was read last. */
function isFollowUp(clause: Clause): boolean {
  return (
    clause.mood === "question" &&
    clause.mentions.length === 0 &&
    clause.words.some((word) =>
      ["it", "its", "that", "they", "them", "their", "this", "he", "she", "his", "her", "those"].includes(word),
    )
  );
}

function readAgain(clause: Clause, { history, tools }: Dialogue): Errand | null {
  for (const said of history.toReversed()) {
    if (said.by !== "tool" || said.call.outcome?.ok !== true) continue;
    const tool = tools.find((each) => each.name === said.call.tool && !changes(each));
    if (tool !== undefined) return { tool, clause, given: said.call.input as JsonObject };
  }
  return null;
}

/** Marks what the calls of a round fulfilled: as planned, or, if another model made them, the first errand they fit. */
function absorb(
  calls: readonly Call[],
  planned: Move,
  { errands, progress }: { errands: readonly Errand[]; progress: Progress },
): void {
  const open = planned.kind === "call" ? [...planned.calls] : [];
  for (const call of calls) {
    progress.made.push(call);
    const index = open.findIndex(({ tool }) => tool.name === call.tool);
    const [plan] = index < 0 ? [] : open.splice(index, 1);
    const errand =
      plan === undefined
        ? errands.findIndex(({ tool }, at) => tool.name === call.tool && !progress.done.has(at))
        : plan.errand;
    if (errand === null || errand < 0) continue;
    progress.done.add(errand);
    progress.served.push(call);
  }
}

function decide(work: Work, progress: Progress): Move {
  const calls: NextCall[] = [];
  for (const [index, errand] of work.errands.entries()) {
    if (progress.done.has(index)) continue;
    if (changes(errand.tool) && errand.clause.conditional) {
      if (calls.length > 0) break;
      return { kind: "answer", report: { ...reportOf(progress, work.clauses), conditional: [errand.tool] } };
    }
    const scope = scopeOf(errand, work);
    const fillings = findEveryCall(errand.tool, scope);
    const lacking = fillings.find(({ missing }) => missing.length > 0);
    if (lacking !== undefined) {
      if (calls.length > 0) break;
      const instead = supply(errand, lacking, { work, progress });
      if (instead !== null) return instead;
    }
    const complete = lacking === undefined ? fillings : findEveryCall(errand.tool, { ...scope, freshNumbers: false });
    if (changes(errand.tool) && calls.length > 0) break;
    calls.push(...newCalls(complete, { errand, index, made: progress.made, calls }));
    if (changes(errand.tool) && calls.length > 0) break;
  }
  return calls.length > 0 ? { kind: "call", calls } : { kind: "answer", report: reportOf(progress, work.clauses) };
}

function newCalls(
  fillings: readonly Filling[],
  context: { errand: Errand; index: number; made: readonly Call[]; calls: readonly NextCall[] },
): NextCall[] {
  const { errand, index, made, calls } = context;
  const known = new Set([
    ...made.map((call) => keyOf(call.tool, call.input)),
    ...calls.map((call) => keyOf(call.tool.name, call.input)),
  ]);
  return fillings
    .filter(({ input }) => !known.has(keyOf(errand.tool.name, input)))
    .map(({ input }) => ({ tool: errand.tool, input, errand: index }));
}

function keyOf(tool: string, input: Json): string {
  return `${tool} ${canonicalJson(input)}`;
}

/** Something is missing: read it, or ask for it. Null if older knowledge has it. */
function supply(errand: Errand, lacking: Filling, { work, progress }: { work: Work; progress: Progress }): Move | null {
  const partial = isPartial(errand.clause);
  const unknown = lacking.missing.filter(
    ({ property, options }) => options.length === 0 && !(partial && property.role === "money"),
  );
  const ambiguous = lacking.missing.some(({ options }) => options.length > 0);
  const reading = unknown.length === 0 || ambiguous ? null : supplyingRead(errand, lacking, { work, progress });
  if (reading !== null) return { kind: "call", calls: [reading] };
  const relaxed = findEveryCall(errand.tool, { ...scopeOf(errand, work), freshNumbers: false });
  const still = relaxed.find(({ missing }) => missing.length > 0);
  return still === undefined
    ? null
    : {
        kind: "ask",
        tool: errand.tool,
        missing: worthAsking(still.missing, work.tools),
        report: reportOf(progress, work.clauses),
      };
}

/** Not what a read will tell once the identifier is known, and no title where the text is missing that makes it. */
function worthAsking(missing: readonly Missing[], tools: readonly ToolProfile[]): readonly Missing[] {
  const readable = missing.filter(
    ({ property }) =>
      property.role === "identifier" &&
      tools.some(
        (tool) =>
          tool.action === "read" &&
          tool.properties.some(({ name, role }) => role === "identifier" && name === property.name),
      ),
  );
  if (readable.length > 0) return readable;
  const hasMessage = missing.some(({ property }) => property.role === "message");
  return hasMessage ? missing.filter(({ property }) => property.role !== "title") : missing;
}

/** A read whose own arguments are all known exactly and that is about the same things. */
function supplyingRead(
  errand: Errand,
  lacking: Filling,
  { work, progress }: { work: Work; progress: Progress },
): NextCall | null {
  if (progress.made.length - progress.done.size >= maxSupplyingReads) return null;
  const wanted = new Set([
    ...errand.tool.nouns,
    ...errand.clause.stems,
    ...errand.tool.properties.flatMap(({ words }) => words),
  ]);
  const sought = new Set(
    lacking.missing.flatMap(({ property }) => [
      ...property.words,
      ...property.entity,
      ...stemsOf(property.description),
    ]),
  );
  const reads = work.tools.filter((tool) => tool !== errand.tool && tool.action === "read");
  const nounsRead = new Set(
    progress.made.flatMap((call) => work.tools.find(({ name }) => name === call.tool)?.nouns ?? []),
  );
  const candidates = reads.flatMap((tool) => {
    const given = Object.fromEntries(
      Object.entries(lacking.input).filter(([name]) => tool.properties.some((property) => property.name === name)),
    );
    const exactly = { ...scopeOf(errand, work), exactOnly: true, given };
    const fromText = findArguments(tool, { ...exactly, facts: [] });
    const filling = fromText.missing.length === 0 ? fromText : findArguments(tool, exactly);
    const made = progress.made.some((call) => keyOf(call.tool, call.input) === keyOf(tool.name, filling.input));
    const shared = tool.nouns.filter((noun) => wanted.has(noun) || wanted.has(stem(noun))).length;
    const supplies = tool.nouns.filter((noun) => sought.has(noun)).length;
    const isNews = !tool.nouns.some((noun) => nounsRead.has(noun));
    const certain =
      filling.exact > 0 && (filling === fromText ? shared > 0 || takesCode(tool, filling) : shared > 0 && isNews);
    const usable = filling.missing.length === 0 && !made && (certain || supplies > 0);
    return usable ? [{ tool, input: filling.input, score: filling.exact * 2 + supplies + shared }] : [];
  });
  const [best] = candidates.toSorted((a, b) => b.score - a.score);
  return best === undefined ? null : { tool: best.tool, input: best.input, errand: null };
}

/** One of the arguments is a code of the very pattern that the tool wants. */
function takesCode(tool: ToolProfile, { input }: Filling): boolean {
  return tool.properties.some(
    ({ name, role, pattern, shapes }) =>
      role === "identifier" && name in input && (pattern !== null || shapes.length > 0),
  );
}

function scopeOf(errand: Errand, { clauses, facts }: Work): Scope {
  const given = errand.given === undefined ? {} : { given: errand.given };
  return { clause: errand.clause, others: othersThan(errand.clause, clauses), facts, freshNumbers: true, ...given };
}

/** The other clauses, the nearest before it first, then those after it. */
function othersThan(clause: Clause, clauses: readonly Clause[]): Clause[] {
  const at = clauses.indexOf(clause);
  return [...clauses.slice(0, at).toReversed(), ...clauses.slice(at + 1)];
}
