/** Comma-separated values as in RFC 4180, safe to open in a spreadsheet. */

export type Cell = string | number | null;

/** The whole text, a line of titles first. Null is an empty cell. */
export function toCsv(titles: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [titles, ...rows].map((row) => `${row.map(toField).join(",")}\r\n`).join("");
}

/** Spreadsheets take a text that begins so for a formula, also behind white space. */
const formula = /^\s*[=+\-@\t\r]/;

function toField(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return String(cell);
  const text = formula.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
