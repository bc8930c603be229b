/**
 * What the user wants: the request cut into clauses, each one question, order or remark, with what it mentions.
 * "Find order A-1042, refund it and tell the customer" is three clauses; a remark belongs to the clause before it.
 */
import { findAcronyms, findMentions, withoutMentions, type Mention } from "./mentions.ts";
import { actionOf, isBaseVerb, isLightVerb, isStopWord, type Action } from "./vocabulary.ts";
import { stem, wordsOf } from "./words.ts";

export interface Clause {
  readonly text: string;
  readonly mood: "question" | "order" | "remark";
  /** What kind of action an order names first; null for questions and unknown verbs. */
  readonly action: Action | null;
  readonly mentions: readonly Mention[];
  /** The words outside of quotations and codes, in lower case. */
  readonly words: readonly string[];
  /** The stems of those words that say something. */
  readonly stems: ReadonlySet<string>;
  /** Remarks that follow: "It arrived broken." */
  readonly notes: readonly string[];
  /** Remarks that came before it. */
  readonly preface: readonly string[];
  /** It stands under an "if" or a "when". */
  readonly conditional: boolean;
}

/** Longer requests are read up to here. */
const maxLength = 8000;

const politeness =
  /^(?:(?:hi|hello|hey|dear \p{L}+|good (?:morning|afternoon|evening)|there|ok|okay|yes|no(?=[,.!])|sure|great|thanks|thank you|please|kindly|also|and|then|but|so|now|just|well|first|next|finally|after that)(?![\p{L}-])[\s,!.:]*)+/iu;
const orderPhrase =
  /^(?:(?:can|could|would|will) you|i(?:'d| would) like(?: you)? to|(?:i|we) (?:want|need|have)(?: you)? to|let's|help me(?: to)?|go ahead and)(?: please| kindly| also)?\s+/iu;
const questionWord =
  /^(?:what|where|when|who|whom|whose|which|why|how|is|are|was|were|do|does|did|has|have|had|can|could|may|should|would|will|am)(?:['’]s)?\b/iu;
const tellMe = /^(?:tell|show|give) (?:me|us) (?:about |more )?|^let (?:me|us) know |^explain /iu;
const wantsToKnow = /^(?:know|ask|understand|hear|see|find out|be sure)\b/iu;
const condition = /\b(?:if|unless|whether|when|in case|provided|as soon as|depending)\b/iu;
const letKnow = /^let (?!me\b|us\b).{1,80}? know\b/iu;
const desire = /\b(?:i|we)(?: would|'d)? (?:want|need|like|wish)\b/iu;
const speech = /\b(?:saying|says?|that|know|telling \p{L}+|to tell \p{L}+)\s/iu;
const connector = /,?\s+(?:and then|and also|after that|afterwards|and|then|also|plus)\s+|,\s+/giu;

/** @param namesAction whether a word is the verb of one of the tools, beside the verbs everyone knows */
export function readRequest(text: string, namesAction: (word: string) => boolean): Clause[] {
  const bounded = text.slice(0, maxLength);
  const isVerb = (word: string): boolean => isBaseVerb(word) || namesAction(word);
  const clauses = sentencesOf(bounded)
    .flatMap((sentence) => {
      const conditional = condition.test(withoutQuotations(sentence).split(spoken)[0] ?? "");
      return splitSentence(sentence, isVerb).map((piece) => ({ ...readClause(piece, isVerb), conditional }));
    })
    .filter((clause) => clause.text !== "");
  return attachRemarks(clauses);
}

function readClause(piece: string, isVerb: (word: string) => boolean): Clause {
  const { rest, polite } = stripPoliteness(piece.trim());
  const text = rest.replace(/[\s.;!?]+$/u, "");
  const mentions = findMentions(text);
  const words = wordsOf(withoutMentions(text, mentions));
  const mood = moodOf(rest, polite, isVerb);
  return {
    text,
    mood,
    action: mood === "order" ? actionIn(text, words) : null,
    mentions: [...mentions, ...findAcronyms(text, mentions)],
    words,
    stems: new Set(words.filter((word) => !isStopWord(word)).map(stem)),
    notes: [],
    preface: [],
    conditional: false,
  };
}

function sentencesOf(text: string): string[] {
  const blank = withoutQuotations(text);
  const ends = [...blank.matchAll(/[.?!;]+\s+|\n+/gu)].map((match) => match.index + match[0].length);
  return cutAt(text, ends).filter((sentence) => sentence.trim() !== "");
}

function splitSentence(sentence: string, isVerb: (word: string) => boolean): string[] {
  const blank = withoutQuotations(sentence);
  const { rest, polite } = stripPoliteness(sentence.trim());
  const isQuestion = moodOf(rest, polite, isVerb) === "question";
  const cuts: number[] = [];
  for (const match of blank.matchAll(connector)) {
    const following = blank.slice(match.index + match[0].length);
    const next = stripPoliteness(following);
    const explicit = /then|after/iu.test(match[0]);
    // What is said to someone runs on: "email Ann that we will call and send the parts".
    const inSpeech = speech.test(blank.slice(cuts.at(-1) ?? 0, match.index)) && !explicit;
    const startsWithVerb = isVerb(wordsOf(next.rest.slice(0, 40))[0] ?? "") || letKnow.test(next.rest);
    const opensClause =
      next.polite || tellMe.test(next.rest) || /^(?:what|where|when|who|which|how)\b/iu.test(next.rest);
    const splits = isQuestion ? opensClause : (startsWithVerb && !inSpeech) || opensClause;
    if (splits) cuts.push(match.index + match[0].length);
  }
  return cutAt(sentence, cuts).map((piece) =>
    piece.replace(/[\s,]*(?:\b(?:and|then|also|plus|after that|afterwards))*[\s,]*$/iu, ""),
  );
}

function stripPoliteness(text: string): { rest: string; polite: boolean } {
  const bare = text.replace(politeness, "");
  const rest = bare.replace(orderPhrase, "");
  return { rest: rest.replace(politeness, ""), polite: rest !== bare };
}

function moodOf(text: string, polite: boolean, isVerb: (word: string) => boolean): Clause["mood"] {
  const first = wordsOf(text.slice(0, 60))[0] ?? "";
  if (tellMe.test(text) && !(/^give/iu.test(text) && actionIn(text, wordsOf(text)) !== null)) return "question";
  if (polite && wantsToKnow.test(text)) return "question";
  if (isStatement(text, first)) return "remark";
  if (polite || letKnow.test(text)) return "order";
  if (questionWord.test(text) || /\?[\s.!?]*$/u.test(text.slice(-20))) return "question";
  if (isVerb(first) || isLightVerb(first) || desire.test(text)) return "order";
  return "remark";
}

/** "Refund of A-1042 is late": the verb is a noun here. What is to be said to someone may well be a statement. */
function isStatement(text: string, first: string): boolean {
  const start = text.split(spoken)[0]?.split(/[,:;]/u)[0] ?? "";
  const action = actionOf(first);
  return action !== null && action !== "read" && action !== "send" && finiteVerb.test(start.slice(0, 200));
}

const spoken = /\b(?:because|since|as|that|which|who|it|saying|says?|to say|telling|know|about)\b/iu;
const finiteVerb = /\b(?:is|was|are|were|has|have|isn|wasn|hasn|still|never|failed)\b/iu;

/** Words after which a verb is only spoken of: "the refund status", "help with a refund", "do not refund". */
const aboutWords = new Set(
  "help information info advice status details policy policies history copy sure state list report".split(" "),
);
const negations = new Set("not don dont never cannot can t won shouldn without stop no doesn didn".split(" "));

/**
 * What an order orders: by its first word, or by the next verb after a word that only carries it ("issue a refund",
 * "I want it cancelled"). A verb anywhere else is part of something that is told.
 */
function actionIn(text: string, words: readonly string[]): Action | null {
  if (letKnow.test(text)) return "send";
  const first = words[0] ?? "";
  const carried = isLightVerb(first) || desire.test(text);
  const at = carried ? words.slice(0, 8).findIndex((word) => actionOf(word) !== null && !isLightVerb(word)) : 0;
  const moneyBack = carried && /\bmoney back\b/iu.test(text);
  const action = moneyBack ? "refund" : actionOf(words[at] ?? first);
  if (words.slice(0, Math.max(at, 0)).some((word) => negations.has(word))) return "read";
  return action !== "read" && words.slice(0, Math.max(at, 0) + 2).some((word) => aboutWords.has(word))
    ? "read"
    : action;
}

/** Remarks become notes of the clause before them, or of the one after if they come first. */
function attachRemarks(clauses: readonly Clause[]): Clause[] {
  if (clauses.every((clause) => clause.mood === "remark")) return joinRemarks(clauses);
  const attached: Clause[] = [];
  let waiting: Clause[] = [];
  for (const clause of clauses) {
    const last = attached.at(-1);
    if (clause.mood !== "remark") {
      attached.push(withRemarks(clause, waiting, "preface"));
      waiting = [];
    } else if (last === undefined) waiting.push(clause);
    else attached[attached.length - 1] = withRemarks(last, [clause], "notes");
  }
  return attached;
}

/** Nothing but remarks ("Order A-1042, the status"): the first is the matter, the others say more about it. */
function joinRemarks(clauses: readonly Clause[]): Clause[] {
  const [first, ...others] = clauses;
  return first === undefined ? [] : [withRemarks(first, others, "notes")];
}

/** What a remark mentions counts as mentioned by its clause, after what the clause itself mentions. */
function withRemarks(clause: Clause, remarks: readonly Clause[], place: "notes" | "preface"): Clause {
  if (remarks.length === 0) return clause;
  const said = remarks.flatMap(({ mentions }) => mentions.map((mention) => ({ ...mention, start: -1, end: -1 })));
  return {
    ...clause,
    [place]: [...clause[place], ...remarks.map(({ text }) => text)],
    mentions: [...clause.mentions, ...said],
  };
}

function withoutQuotations(text: string): string {
  const protectedKinds = new Set(["quoted", "email", "url", "date", "money"]);
  return withoutMentions(
    text,
    findMentions(text).filter(({ kind }) => protectedKinds.has(kind)),
  );
}

function cutAt(text: string, positions: readonly number[]): string[] {
  const bounds = [0, ...positions, text.length];
  return bounds.slice(1).map((end, index) => text.slice(bounds[index], end));
}
