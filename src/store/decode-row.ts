/** Rows as they come over the wire, read by us and not by the drivers, so that both databases answer the same. */
import { assert } from "../platform/errors.ts";

export interface Column {
  readonly name: string;
  /** The oid of the column's type. */
  readonly dataTypeID: number;
}

export type RowDecoder = (values: readonly (string | null)[]) => Record<string, unknown>;

type Decode = (text: string) => unknown;

/** A decoder for rows of these columns, each value in PostgreSQL's text format. */
export function rowDecoder(columns: readonly Column[]): RowDecoder {
  const decoders = columns.map(({ dataTypeID }) => decodersByType.get(dataTypeID) ?? asText);
  return (values) => {
    const row: Record<string, unknown> = {};
    for (const [index, { name }] of columns.entries()) {
      const text = values[index] ?? null;
      row[name] = text === null ? null : decoders[index]!(text);
    }
    return row;
  };
}

const asText: Decode = (text) => text;
const asJson: Decode = (text) => JSON.parse(text);

function asNumber(text: string): number {
  const number = Number(text);
  assert(
    !Number.isInteger(number) || Number.isSafeInteger(number),
    `The integer ${text} from the database is too large.`,
  );
  return number;
}

function asMilliseconds(text: string): number {
  if (text === "infinity") return Infinity;
  if (text === "-infinity") return -Infinity;
  // PostgreSQL writes "2026-11-21 00:14:00.123456+00"; ISO 8601 wants a T, and minutes in the offset.
  const iso = text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");
  const milliseconds = Date.parse(iso);
  assert(!Number.isNaN(milliseconds), `The time "${text}" from the database cannot be read; is its DateStyle ISO?`);
  return milliseconds;
}

/** Reads an array literal: {1,2}, {"a b",NULL}, {{1},{2}}. */
function asArray(element: Decode): Decode {
  return (text) => {
    const stack: unknown[][] = [[]];
    // A literal with bounds other than 1 begins with them: [0:1]={1,2}.
    const body = text.startsWith("[") ? text.slice(text.indexOf("=") + 1) : text;
    for (const [token] of body.matchAll(/[{}]|"(?:[^"\\]|\\.)*"|[^{},"]+/gs)) {
      if (token === "{") stack.push([]);
      else if (token === "}") {
        const finished = stack.pop();
        stack.at(-1)!.push(finished);
      } else stack.at(-1)!.push(token === "NULL" ? null : element(unquote(token)));
    }
    return stack[0]![0];
  };
}

function unquote(token: string): string {
  return token.startsWith('"') ? token.slice(1, -1).replaceAll(/\\(.)/gs, "$1") : token;
}

// [type, its array type], by oid in PostgreSQL's pg_type.dat, which never change.
const types: readonly [decode: Decode, ...oids: [type: number, arrayType: number][]][] = [
  [(text) => text === "t", [16, 1000]], // bool
  [(text) => Buffer.from(text.slice(2), "hex"), [17, 1001]], // bytea
  [asNumber, [20, 1016], [21, 1005], [23, 1007], [26, 1028], [700, 1021], [701, 1022], [1700, 1231]], // int8 int2 int4 oid float4 float8 numeric
  [asJson, [114, 199], [3802, 3807]], // json jsonb
  [asMilliseconds, [1184, 1185]], // timestamptz
  [asText, [25, 1009], [1043, 1015], [1042, 1014], [19, 1003], [2950, 2951]], // text varchar bpchar name uuid
];

const decodersByType: ReadonlyMap<number, Decode> = new Map(
  types.flatMap(([decode, ...oids]) =>
    oids.flatMap(([type, arrayType]): [number, Decode][] => [
      [type, decode],
      [arrayType, asArray(decode)],
    ]),
  ),
);
