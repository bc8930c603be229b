/**
 * The one place where the command writes: results to stdout, everything else to stderr. Colour only where a person looks
 * (a terminal, and NO_COLOR unset).
 */
import { styleText } from "node:util";

export type Format = Parameters<typeof styleText>[0];
/** Gives a text its colour, or leaves it as it is. */
export type Paint = (format: Format, text: string) => string;

export interface Terminal {
  /** A line of what was asked for. */
  print(line?: string): void;
  /** A piece of a line of what was asked for. */
  write(text: string): void;
  /** A line about how it goes. */
  note(line?: string): void;
  /** JSON for programs. */
  json(value: unknown): void;
  readonly paint: Paint;
  readonly paintNote: Paint;
  /** Columns of the terminal; undefined where stdout is none, and lines may be as long as they are. */
  readonly width: number | undefined;
  /** Whether a person can be asked. */
  readonly canAsk: boolean;
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** Resolves when all that was written has left. */
  flush(): Promise<void>;
}

export interface Streams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

export function createTerminal({ stdin, stdout, stderr }: Streams): Terminal {
  // A reader that has seen enough (`| head`) is no failure.
  for (const stream of [stdout, stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  }
  const write = (text: string): void => {
    stdout.write(text);
  };
  return {
    print: (line = "") => write(`${line}\n`),
    write,
    note: (line = "") => {
      stderr.write(`${line}\n`);
    },
    json: (value) => write(`${JSON.stringify(value, null, stdout.isTTY ? 2 : undefined)}\n`),
    paint: (format, text) => styleText(format, text, { stream: stdout }),
    paintNote: (format, text) => styleText(format, text, { stream: stderr }),
    width: stdout.isTTY ? stdout.columns || 80 : undefined,
    canAsk: stdin.isTTY && stdout.isTTY,
    input: stdin,
    output: stdout,
    flush: async () => {
      for (const stream of [stdout, stderr]) await new Promise((resolve) => stream.write("", resolve));
    },
  };
}

/** Without colour, for tests and files. */
export const plain: Paint = (_format, text) => text;

// Everything below a space but tab and newline, and the second row of control characters: a model's text must not move
// the cursor, rename the window or answer for the user. The direction marks could make a line read as another.
// oxlint-disable-next-line no-control-regex -- control characters are the point
const unprintable = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** A text from a model, a tool or a user, safe to show. */
export function printable(text: string): string {
  return text.replace(unprintable, "");
}

/** A printable text on one line. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s+/g, " ").trim();
}
