/** Ids of answers. That of an agent's is the id of its task, so that a program that has the one can ask for the other. */
import { isId } from "../../platform/ids.ts";

const prefix = "resp_";

export function toResponseId(id: string): string {
  return `${prefix}${id}`;
}

/** The task that a response may be of; empty: none. */
export function taskIdOf(responseId: string): string {
  const id = responseId.startsWith(prefix) ? responseId.slice(prefix.length) : "";
  return isId(id) ? id : "";
}

export function toCompletionId(id: string): string {
  return `chatcmpl-${id}`;
}
