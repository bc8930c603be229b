/** Rows under titles, aligned. Where the terminal is too narrow, some columns are left out and others cut; ids never. */
import { columnsOf, fit } from "./columns.ts";
import type { Format, Paint } from "./terminal.ts";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: "right";
  /** May be cut; the last one of them gives way first. */
  readonly shrinks?: boolean;
  /** May be left out, so that those that shrink stay readable; the last one goes first. */
  readonly spare?: boolean;
  readonly format?: (row: Row) => Format;
}

/** A column with the texts that will stand in it, and how wide it is. */
interface Sized<Row> {
  readonly column: Column<Row>;
  readonly texts: readonly string[];
  readonly room: number;
}

const gap = "  ";
const leastRoom = 8;
const readableRoom = 32;

/** @param options.width columns of the terminal; undefined: as wide as it takes */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { width = Number.POSITIVE_INFINITY, paint }: { width: number | undefined; paint: Paint },
): string[] {
  const all = columns.map((column) => measure(column, rows));
  const sized = shrink(leaveOut(all, width), width);
  const line = (cellOf: (each: Sized<Row>, isLast: boolean) => string): string =>
    sized.map((each, index) => cellOf(each, index === sized.length - 1)).join(gap);
  return [
    line((each, isLast) => paint("dim", align(each, each.column.title, isLast))),
    ...rows.map((row, index) =>
      line((each, isLast) => {
        const text = align(each, each.texts[index] ?? "", isLast);
        return each.column.format === undefined ? text : paint(each.column.format(row), text);
      }),
    ),
  ];
}

function measure<Row>(column: Column<Row>, rows: readonly Row[]): Sized<Row> {
  const texts = rows.map(column.value);
  return { column, texts, room: Math.max(columnsOf(column.title), ...texts.map(columnsOf)) };
}

function leaveOut<Row>(sized: readonly Sized<Row>[], width: number): readonly Sized<Row>[] {
  const readable = sized.map(({ column, room }) => (column.shrinks === true ? Math.min(room, readableRoom) : room));
  const spare = sized.findLastIndex(({ column }) => column.spare === true);
  return spare < 0 || total(readable) <= width ? sized : leaveOut(sized.toSpliced(spare, 1), width);
}

function shrink<Row>(sized: readonly Sized<Row>[], width: number): readonly Sized<Row>[] {
  let excess = total(sized.map(({ room }) => room)) - width;
  const shrunk = sized.toReversed().map((each) => {
    if (each.column.shrinks !== true || excess <= 0) return each;
    const cut = Math.min(excess, Math.max(0, each.room - leastRoom));
    excess -= cut;
    return { ...each, room: each.room - cut };
  });
  return shrunk.toReversed();
}

function total(rooms: readonly number[]): number {
  return rooms.reduce((sum, room) => sum + room, 0) + gap.length * (rooms.length - 1);
}

function align<Row>({ column, room }: Sized<Row>, text: string, isLast: boolean): string {
  const fitted = fit(text, room);
  const space = " ".repeat(Math.max(0, room - columnsOf(fitted)));
  if (column.align === "right") return space + fitted;
  return isLast ? fitted : fitted + space;
}
