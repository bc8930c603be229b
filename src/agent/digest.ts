/**
 * A conversation as text of a bounded length, for a model to summarise, or to stand for the summary where no model gives
 * one. What is long is shortened first; only where so much was said that hardly anything of each would be left, the middle
 * is left out. The first thing said stays: it may be the summary of all that was before.
 */
import type { Message } from "./conversation.ts";
import { fairShare, outcomeText, shorten } from "./shorten.ts";

interface Piece {
  readonly label: string;
  readonly text: string;
}

/** Shorter than this a text says nothing. */
const leastPieceChars = 80;

export function digestOf(messages: readonly Message[], mostChars: number): string {
  const pieces = messages.flatMap(piecesOf);
  const most = Math.max(1, Math.floor(mostChars / (2 * leastPieceChars)));
  const [first] = pieces;
  if (first === undefined) return "";
  const tooMany = pieces.length > most;
  const shown = tooMany ? [first, ...(most > 1 ? pieces.slice(1 - most) : [])] : pieces;
  const overhead = shown.reduce((sum, { label }) => sum + label.length + 3, 0);
  const share = fairShare(
    shown.map(({ text }) => text.length),
    mostChars - overhead,
  );
  const lines = shown.map(({ label, text }) => `${label}: ${shorten(text, share)}`);
  if (tooMany) lines.splice(1, 0, `[${pieces.length - shown.length} steps are left out here]`);
  return lines.join("\n");
}

function piecesOf(message: Message): Piece[] {
  switch (message.role) {
    case "user":
      return [{ label: "User", text: message.text }];
    case "assistant":
      return message.parts.flatMap((part) => {
        if (part.type === "call") return [{ label: `Agent calls ${part.tool}`, text: JSON.stringify(part.input) }];
        return part.type === "text" && part.text !== "" ? [{ label: "Agent", text: part.text }] : [];
      });
    case "tool": {
      const { outcome, tool } = message;
      return [{ label: outcome.ok ? `${tool} answers` : `${tool} fails`, text: outcomeText(outcome) }];
    }
  }
}
