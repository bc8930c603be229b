/**
 * Asking a person for a line. Between questions the terminal is as the shell left it, so that Ctrl-C is a signal while an
 * agent works; lines that were pasted together are taken one after the other.
 */
import { createInterface } from "node:readline";
import type { Terminal } from "./terminal.ts";

/** `end`: Ctrl-D. `interrupt`: Ctrl-C. */
export type Line =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "end" }
  | { readonly type: "interrupt" };

export interface LineReader {
  /** The next line: of what was pasted, if there is more of it. */
  next(prompt: string): Promise<Line>;
  /**
   * An answer to this question: what was pasted before it was asked is none.
   * @param prefill what stands there already, to be changed
   */
  ask(question: string, prefill?: string): Promise<Line>;
}

export function createLineReader({ input, output }: Pick<Terminal, "input" | "output">): LineReader {
  const pasted: string[] = [];
  /** What was typed or pasted behind the last line, without an end yet. */
  let unfinished = "";
  let history: string[] = [];

  function read(question: string, prefill: string): Promise<Line> {
    return new Promise((resolve) => {
      const line = createInterface({ input, output, prompt: question, history, historySize: 200 });
      let answer: Line | undefined;
      const finish = (given: Line): void => {
        answer = given;
        line.close();
      };
      line.on("history", (lines: string[]) => (history = lines));
      line.on("line", (text) => {
        if (answer !== undefined) return void pasted.push(text);
        answer = { type: "text", text };
        // What was pasted comes in one piece: the lines behind the first would be lost if it closed at once.
        setImmediate(() => line.close());
      });
      line.on("SIGINT", () => {
        output.write("\n");
        finish({ type: "interrupt" });
      });
      line.on("close", () => {
        if (answer === undefined) output.write("\n");
        unfinished = answer?.type === "text" ? line.line : "";
        if (unfinished !== "") output.write("\n");
        resolve(answer ?? { type: "end" });
      });
      line.prompt();
      if (prefill !== "") line.write(prefill);
    });
  }

  return {
    async next(prompt) {
      const text = pasted.shift();
      if (text === undefined) return read(prompt, unfinished);
      output.write(`${prompt}${text}\n`);
      return { type: "text", text };
    },
    ask: (question, prefill = "") => read(question, prefill),
  };
}
