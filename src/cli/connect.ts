/** The server that a verb talks to. */
import { userInfo } from "node:os";
import type { Command } from "commander";
import { createClient, type Client } from "../client/index.ts";
import { HoldfastError } from "../platform/errors.ts";
import { readSettings } from "../platform/settings.ts";
import type { Context } from "./context.ts";

export type { Client };

export interface UrlFlag {
  readonly url?: string;
}

export function withUrl(command: Command): Command {
  return command.option("--url <url>", "the server to talk to (default: HOLDFAST_URL or http://127.0.0.1:4100)");
}

export function serverUrl({ environment }: Context, { url }: UrlFlag): string {
  const named = url ?? environment["HOLDFAST_URL"];
  if (named === undefined || named === "") return `http://127.0.0.1:${readSettings(environment).port}`;
  if (!URL.canParse(named) || !/^https?:$/.test(new URL(named).protocol)) {
    throw new HoldfastError("invalid_url", `"${named}" is no URL of a server; it looks like http://127.0.0.1:4100.`);
  }
  return named.replace(/\/+$/, "");
}

/** Runs what talks to a server; that there is none is said in a sentence that helps. */
export async function withServer<T>(
  context: Context,
  flags: UrlFlag,
  talk: (client: Client) => Promise<T>,
): Promise<T> {
  const url = serverUrl(context, flags);
  try {
    return await talk(createClient({ baseUrl: url }));
  } catch (error) {
    throw isUnreachable(error) ? unreachable(url, context, error) : error;
  }
}

export function isUnreachable(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === "service_unreachable";
}

export function unreachable(url: string, { command }: Context, cause: unknown): HoldfastError {
  const advice = `Start one with \`${command} dev\`, or name another with --url or HOLDFAST_URL.`;
  return new HoldfastError("service_unreachable", `There is no server at ${url}. ${advice}`, { cause });
}

/** Who decided, for the journal. */
export function operator(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run as a user without a name.
    return "operator";
  }
}
