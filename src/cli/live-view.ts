/** A task as it happens: its text as it comes (to stdout), and its calls, failures and waits around it (to stderr). */
import type { Entry, TaskEvent } from "../client/wire.ts";
import { fit } from "./columns.ts";
import { duration } from "./quantities.ts";
import { oneLine, printable, type Terminal } from "./terminal.ts";
import { answerText, callText, outcomeText, shortenedText, toldBy } from "./wording.ts";

export interface LiveView {
  show(event: TaskEvent): void;
  /** Ends the line that text stands in, if there is one. */
  endLine(): void;
}

export function createLiveView(terminal: Terminal): LiveView {
  const { paintNote: paint } = terminal;
  /** The text of the turn in flight, as far as it is shown. */
  let shown = "";
  let midLine = false;

  const write = (text: string): void => {
    const safe = printable(text);
    if (safe === "") return;
    terminal.write(safe);
    midLine = !safe.endsWith("\n");
  };
  const endLine = (): void => {
    if (midLine) terminal.write("\n");
    midLine = false;
  };
  const note = (line: string): void => {
    endLine();
    terminal.note(terminal.width === undefined ? line : fit(line, terminal.width));
  };
  /** Goes on from what is shown if it can; else begins again on a new line. */
  const showText = (text: string): void => {
    if (text.startsWith(shown)) write(text.slice(shown.length));
    else {
      endLine();
      write(text);
    }
    shown = text;
  };

  const showEntry = (entry: Entry): void => {
    switch (entry.kind) {
      case "model":
        showText(entry.parts.map((part) => (part.type === "text" ? part.text : "")).join(""));
        endLine();
        shown = "";
        for (const { tool, input } of entry.calls) note(`${paint("cyan", "→")} ${callText(tool, input)}`);
        return;
      case "assignment":
        return note(paint("dim", `assigned to ${entry.agent}: ${oneLine(entry.reason)}`));
      case "tool": {
        const mark = entry.outcome.ok ? paint("green", "✓") : paint("red", "✗");
        return note(`${mark} ${entry.tool}, ${paint("dim", `${duration(entry.ms)}: ${outcomeText(entry.outcome)}`)}`);
      }
      case "answer":
        return note(paint("dim", `  ${oneLine(entry.by)}: ${answerText(entry.answer)}`));
      case "failure":
        return note(paint("yellow", failureLine(entry)));
      case "compression":
        return note(paint("dim", `  shortened ${shortenedText(entry)}`));
      case "message":
        return note(`${paint("cyan", `${toldBy(entry)}:`)} ${oneLine(entry.prompt)}`);
      default:
        return;
    }
  };

  return {
    endLine,
    show(event) {
      if (event.type === "entry") showEntry(event.entry);
      else if (event.type === "partial") showText(event.text);
      else if (event.type === "delta" && event.delta.type === "text") showText(shown + event.delta.text);
      else if (event.type === "delta" && event.delta.type === "restart" && shown !== "") {
        note(paint("yellow", "! The model was cut off and begins again"));
        shown = "";
      }
    },
  };
}

function failureLine({ message, code, retry_at: retryAt }: Entry & { kind: "failure" }): string {
  return `! ${oneLine(message)} (${code})${retryAt === null ? "" : ", trying again"}`;
}
