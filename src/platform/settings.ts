/**
 * What differs between deployments, read from the environment once and typed. Everything else is in holdfast.config.ts.
 *
 * Any variable may be given as NAME_FILE, a path whose content is the value (Kubernetes Secrets, Vault agent).
 */
import { readFileSync } from "node:fs";
import { HoldfastError, messageOf } from "./errors.ts";

export interface Settings {
  readonly port: number;
  readonly host: string;
  /** Null: the embedded database under `dataDir`. */
  readonly databaseUrl: string | null;
  /** How long `holdfast serve` waits at its start for a database that does not answer. */
  readonly databaseWaitMs: number;
  readonly dataDir: string;
  /** Null: processes hear of each other through the database alone, and no tasks come over BullMQ. */
  readonly redisUrl: string | null;
  /** What begins the names of keys and channels in Redis; keeps installations apart. */
  readonly redisPrefix: string;
  /** The route of agents that name none; empty: `rules/default`. */
  readonly defaultRoute: readonly string[];
  readonly providers: {
    readonly openai: Endpoint;
    readonly anthropic: Endpoint;
    readonly google: Endpoint;
    readonly compatible: Endpoint;
  };
  /** How many days what has ended is kept; null: for ever. */
  readonly retention: {
    readonly days: number | null;
    readonly deadLetterDays: number | null;
    /** Of the ledger of model calls. */
    readonly usageDays: number | null;
  };
  /** Whether faults may be injected into model calls. */
  readonly gameDay: boolean;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  readonly logFormat: "json" | "text";
}

export interface Endpoint {
  readonly apiKey: string | undefined;
  readonly baseURL: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export const processEnvironment: Environment = process.env;

/** @throws HoldfastError `invalid_setting` */
export function readSettings(environment: Environment): Settings {
  const read = (name: string): string | undefined => readVariable(environment, name);
  const endpoint = (prefix: string, key = `${prefix}_API_KEY`): Endpoint => ({
    apiKey: read(key),
    baseURL: read(`${prefix}_BASE_URL`),
  });
  return {
    port: readPort(read("PORT") ?? "4100"),
    host: read("HOST") ?? "127.0.0.1",
    databaseUrl: read("DATABASE_URL") ?? null,
    databaseWaitMs: readSeconds("HOLDFAST_DATABASE_WAIT_SECONDS", read("HOLDFAST_DATABASE_WAIT_SECONDS") ?? "60"),
    dataDir: read("HOLDFAST_DATA") ?? ".holdfast",
    redisUrl: readRedisUrl(read("REDIS_URL")),
    redisPrefix: read("REDIS_PREFIX") ?? "bull",
    defaultRoute: (read("HOLDFAST_MODEL") ?? "").split(",").flatMap((name) => name.trim() || []),
    providers: {
      openai: endpoint("OPENAI"),
      anthropic: endpoint("ANTHROPIC"),
      google: endpoint("GOOGLE_GENERATIVE_AI"),
      compatible: endpoint("OPENAI_COMPATIBLE"),
    },
    retention: {
      days: readDays("HOLDFAST_RETENTION_DAYS", read("HOLDFAST_RETENTION_DAYS") ?? "30"),
      deadLetterDays: readDays(
        "HOLDFAST_DEAD_LETTER_RETENTION_DAYS",
        read("HOLDFAST_DEAD_LETTER_RETENTION_DAYS") ?? "90",
      ),
      // So long that a month can be held against the same month of the year before.
      usageDays: readDays("HOLDFAST_USAGE_RETENTION_DAYS", read("HOLDFAST_USAGE_RETENTION_DAYS") ?? "400"),
    },
    gameDay: readOneOf("HOLDFAST_GAME_DAY", read("HOLDFAST_GAME_DAY") ?? "off", ["on", "off"]) === "on",
    logLevel: readOneOf("HOLDFAST_LOG_LEVEL", read("HOLDFAST_LOG_LEVEL") ?? "info", logLevels),
    logFormat: readOneOf("HOLDFAST_LOG_FORMAT", read("HOLDFAST_LOG_FORMAT") ?? "json", ["json", "text"]),
  };
}

const mostSeconds = 86_400;
const logLevels = ["debug", "info", "warn", "error", "silent"] as const;

function readVariable(environment: Environment, name: string): string | undefined {
  const file = environment[`${name}_FILE`];
  const value = environment[name];
  if (file === undefined || file === "") return value === "" ? undefined : value;
  if (value !== undefined && value !== "") throw invalid(name, `is set, and so is ${name}_FILE; set only one of them`);
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw invalid(`${name}_FILE`, `cannot be read: ${messageOf(error)}`);
  }
}

function readPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw invalid("PORT", `is "${text}", not a port number`);
  return port;
}

/** Says nothing of the value: it may hold a password. */
function readRedisUrl(text: string | undefined): string | null {
  if (text === undefined) return null;
  const isUrl = URL.canParse(text) && ["redis:", "rediss:"].includes(new URL(text).protocol);
  if (!isUrl) throw invalid("REDIS_URL", "is no redis://user:password@host:port/number (or rediss://…, over TLS)");
  return text;
}

/** @returns milliseconds */
function readSeconds(name: string, value: string): number {
  const seconds = Number(value);
  if (seconds >= 0 && seconds <= mostSeconds) return seconds * 1_000;
  throw invalid(name, `is "${value}", but must be a number of seconds from 0 to ${mostSeconds}`);
}

/** Null: for ever. */
function readDays(name: string, value: string): number | null {
  if (value === "off") return null;
  const days = Number(value);
  // A fraction is good for trying it out; the upper bound is what an interval of the database takes.
  if (days > 0 && days <= 36_500) return days;
  throw invalid(name, `is "${value}", but must be a number of days above 0 and up to 36500, or "off"`);
}

function readOneOf<Choice extends string>(name: string, value: string, choices: readonly Choice[]): Choice {
  const choice = choices.find((each) => each === value);
  if (choice === undefined) throw invalid(name, `is "${value}", but must be one of ${choices.join(", ")}`);
  return choice;
}

function invalid(name: string, rule: string): HoldfastError {
  return new HoldfastError("invalid_setting", `The environment variable ${name} ${rule}.`);
}
