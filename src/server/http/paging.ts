/** Pages of lists. A cursor is opaque: it says of which list it is, and the last item of the page before. */
import type { Page } from "../../client/wire.ts";
import { isId } from "../../platform/ids.ts";
import { InvalidInputError } from "../../platform/errors.ts";
import { mostSeq } from "./request-schemas.ts";

export type ListName = "tasks" | "dead_letters" | "approvals" | "journal" | "messages" | "usage" | "keys";

const isKey: Record<ListName, (key: string) => boolean> = {
  tasks: isId,
  dead_letters: isId,
  approvals: isId,
  keys: isId,
  journal: (key) => isCount(key) && Number(key) <= mostSeq,
  messages: (key) => isCount(key) && Number.isSafeInteger(Number(key)),
  // The number of sums before it: they have no other order than what they come to.
  usage: (key) => isCount(key) && Number.isSafeInteger(Number(key)),
};

function isCount(key: string): boolean {
  return /^(0|[1-9]\d{0,15})$/.test(key);
}

export function toCursor(list: ListName, key: string | number): string {
  return Buffer.from(`${list}:${key}`).toString("base64url");
}

/** The key of the last item of the page before. @throws InvalidInputError `invalid_cursor` */
export function fromCursor(list: ListName, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const [name, key = ""] = Buffer.from(cursor, "base64url").toString().split(":");
  if (name === list && isKey[list](key) && toCursor(list, key) === cursor) return key;
  const rule = "Pass the next_cursor of the page before, as it was given, to the same list";
  throw new InvalidInputError("invalid_cursor", `This is no cursor of this list. ${rule}.`, "/query/cursor");
}

/** @param rows one more than `limit` if there is a next page */
export function toPage<Row, Item>(
  rows: readonly Row[],
  limit: number,
  { list, key, item }: { list: ListName; key: (row: Row) => string | number; item: (row: Row) => Item },
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { items: shown.map(item), next_cursor: last === undefined ? null : toCursor(list, key(last)) };
}
