/**
 * Takes what is large out of what is stored, and puts it back when it is read: an entry's body, a task's input. Nobody
 * outside the store sees the difference. The same value is kept once, whoever has it: see queries/large-values.ts.
 *
 * Where a value was stands in a list at the root, under a name that no body of ours has. So nothing that a user, a model or
 * a tool said can be taken for a reference. In its place stays the beginning of a text, for lists, or null.
 */
import { createHash } from "node:crypto";
import { roughSize } from "../agent/json.ts";
import { HoldfastError, NotFoundError } from "../platform/errors.ts";
import type { Database, Statement } from "./database.ts";
import { encodeJson } from "./json.ts";
import {
  keepLargeStatement,
  largeOfTasksStatement,
  referLargeStatement,
  type LargeContent,
} from "./queries/large-values.ts";

/** What has more characters as JSON stands elsewhere; as much as an outcome of a tool may have. */
export const largeFrom = 32_768;
const beginningChars = 1_000;

type Body = Readonly<Record<string, unknown>>;
type Path = readonly (string | number)[];

/** A value that stands elsewhere, and where it was. What is inside of another one comes after it. */
interface Placed {
  readonly path: Path;
  readonly hash: string;
}

export interface Packed<Value> {
  readonly value: Value;
  readonly contents: readonly Omit<LargeContent, "tenant">[];
}

export function packLarge<Value extends object>(value: Value): Packed<Value> {
  if (roughSize(value) <= largeFrom) return { value, contents: [] };
  const contents: Packed<Value>["contents"][number][] = [];
  const placed: Placed[] = [];
  const packed = pack(value, [], { contents, placed });
  return { value: placed.length === 0 ? value : ({ ...(packed as Value), $large: placed } as Value), contents };
}

function pack(
  value: unknown,
  path: Path,
  found: { contents: Omit<LargeContent, "tenant">[]; placed: Placed[] },
): unknown {
  if (roughSize(value) <= largeFrom) return value;
  const keep = (kept: unknown, index: number): void => {
    const content = encodeJson(kept);
    const hash = hashOf(content);
    found.contents.push({ hash, content });
    found.placed.splice(index, 0, { path, hash });
  };
  if (typeof value === "string") {
    keep(value, found.placed.length);
    return value.slice(0, beginningChars).replace(/[\uD800-\uDBFF]$/, "");
  }
  const first = found.placed.length;
  const packed = Array.isArray(value)
    ? value.map((item, index) => pack(item, [...path, index], found))
    : Object.fromEntries(Object.entries(value as Body).map(([key, item]) => [key, pack(item, [...path, key], found)]));
  if (path.length === 0 || roughSize(packed) <= largeFrom) return packed;
  keep(packed, first);
  return null;
}

/** A write of tasks, with what it needs kept: as one transaction, which takes the locks of the values first. */
export async function writeWithLarge(
  database: Database,
  write: readonly Statement[],
  large: readonly { taskId: string; tenant?: string; contents: Packed<object>["contents"] }[],
): Promise<Record<string, unknown>[][]> {
  const contents = large.flatMap(({ taskId, tenant, contents: own }) =>
    own.map((each) => ({ taskId, tenant: tenant ?? null, ...each })),
  );
  const [only] = write;
  if (contents.length === 0 && write.length === 1 && only !== undefined) return [await database.query(only)];
  if (contents.length === 0) return database.batch(write);
  const rows = await database.batch([keepLargeStatement(contents), ...write, referLargeStatement(contents)]);
  return rows.slice(1, -1);
}

interface Stored {
  readonly taskId: string;
  /** What may have a list of values that stand elsewhere. */
  readonly body: Body;
}

/** Puts back what stands elsewhere, in place. One query for all, and none if there is nothing. */
export async function unpackLarge(database: Database, stored: readonly Stored[]): Promise<void> {
  const packed = stored.filter(({ body }) => !isWhole(body));
  if (packed.length === 0) return;
  const hashes = new Set(packed.flatMap(({ body }) => placedIn(body).map(({ hash }) => hash)));
  const taskIds = [...new Set(packed.map(({ taskId }) => taskId))];
  const rows = await database.query<{ hash: string; content: string }>(largeOfTasksStatement(taskIds, [...hashes]));
  const contents = new Map(rows.map(({ hash, content }) => [hash, checked(hash, content)]));
  for (const { body } of packed) {
    const root = body as Record<string, unknown>;
    for (const { path, hash } of placedIn(body)) putBack(root, path, read(contents, hash));
    delete root["$large"];
  }
}

/** Nothing of it stands elsewhere. */
export function isWhole(body: object): boolean {
  return !("$large" in body);
}

/** The inputs of tasks, to put back what is missing in them. */
export function inputsOf(tasks: readonly { readonly id: string; readonly input: object }[]): Stored[] {
  return tasks.map(({ id, input }) => ({ taskId: id, body: input as Body }));
}

function placedIn(body: Body): readonly Placed[] {
  return body["$large"] as readonly Placed[];
}

function putBack(root: Record<string, unknown>, path: Path, value: unknown): void {
  let place: Record<string | number, unknown> = root;
  for (const step of path.slice(0, -1)) place = place[step] as Record<string | number, unknown>;
  place[path.at(-1)!] = value;
}

/** Each place gets a copy of its own. */
function read(contents: ReadonlyMap<string, string>, hash: string): unknown {
  const content = contents.get(hash);
  if (content === undefined)
    throw new NotFoundError("large_value_not_found", `There is no value with the hash ${hash}.`);
  return JSON.parse(content);
}

/** @throws HoldfastError `large_value_corrupt` */
export function checked(hash: string, content: string): string {
  if (hashOf(content) === hash) return content;
  const message = `The value with the hash ${hash} is not what was stored: somebody or something has changed it.`;
  throw new HoldfastError("large_value_corrupt", message);
}

function hashOf(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}
