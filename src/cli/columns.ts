/** How many columns of a terminal a text takes, and texts cut to fit. */
import { stripVTControlCharacters } from "node:util";

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const wide =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|[\uff01-\uff60]/u;
const invisible = /^[\p{Mark}\p{Format}]+$/u;

export function columnsOf(text: string): number {
  let columns = 0;
  for (const { segment } of graphemes.segment(stripVTControlCharacters(text))) columns += columnsOfGrapheme(segment);
  return columns;
}

// oxlint-disable-next-line no-control-regex -- the codes that colour a text
const colour = /(\u001b\[[\d;]*m)/;

/** The text, or as much of it as fits before an ellipsis. Colours take no room and stay. */
export function fit(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let kept = "";
  let used = 1;
  for (const piece of text.split(colour)) {
    if (colour.test(piece)) kept += piece;
    else if (used <= columns) {
      for (const { segment } of graphemes.segment(piece)) {
        used += columnsOfGrapheme(segment);
        if (used > columns) {
          kept = `${kept.trimEnd()}…`;
          break;
        }
        kept += segment;
      }
    }
  }
  return kept;
}

/** The text broken into lines at spaces. Words that are too long for a line are left whole. */
export function wrap(text: string, columns: number): string[] {
  return text.split("\n").flatMap((line) => wrapLine(line, columns));
}

function wrapLine(line: string, columns: number): string[] {
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(" ")) {
    const longer = current === "" ? word : `${current} ${word}`;
    if (current === "" || columnsOf(longer) <= columns) current = longer;
    else {
      lines.push(current);
      current = word;
    }
  }
  return [...lines, current];
}

function columnsOfGrapheme(grapheme: string): number {
  if (wide.test(grapheme)) return 2;
  return invisible.test(grapheme) ? 0 : 1;
}
