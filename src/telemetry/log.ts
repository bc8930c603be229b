/** Logs: JSON lines for machines, plain lines for a person at a terminal. Prompts and outputs are never logged. */
import { styleText } from "node:util";
import { pino, type Logger as PinoLogger } from "pino";
import { isObject, type JsonObject } from "../agent/json.ts";

export type Logger = Pick<PinoLogger, "debug" | "info" | "warn" | "error">;

export interface LogOptions {
  readonly level: "debug" | "info" | "warn" | "error" | "silent";
  readonly format: "json" | "text";
}

export function createLogger({ level, format }: LogOptions): Logger {
  if (format === "json") return pino({ level, base: null });
  return pino({ level, base: null }, { write: (line) => process.stderr.write(`${toText(line)}\n`) });
}

export const silentLogger: Logger = createLogger({ level: "silent", format: "json" });

const levelNames: Record<number, string> = {
  20: styleText("dim", "debug"),
  30: styleText("cyan", "info "),
  40: styleText("yellow", "warn "),
  50: styleText("red", "error"),
};

function toText(line: string): string {
  const record: unknown = JSON.parse(line);
  if (!isObject(record)) return line;
  const { level, time, msg, ...fields } = record;
  const clock = new Date(Number(time)).toTimeString().slice(0, 8);
  return `${styleText("dim", clock)} ${levelNames[Number(level)] ?? ""} ${typeof msg === "string" ? msg : ""}${fieldsToText(fields)}`;
}

function fieldsToText(fields: JsonObject): string {
  const pairs = Object.entries(fields).map(([name, value]) => {
    return `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`;
  });
  return pairs.length === 0 ? "" : `  ${styleText("dim", pairs.join(" "))}`;
}
