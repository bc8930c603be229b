import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { columnsOf } from "./columns.ts";
import { renderTable, type Column } from "./table.ts";
import { plain } from "./terminal.ts";

interface Row {
  readonly id: string;
  readonly steps: number;
  readonly prompt: string;
}

const columns: Column<Row>[] = [
  { title: "ID", value: ({ id }) => id },
  { title: "STEPS", value: ({ steps }) => String(steps), align: "right" },
  { title: "PROMPT", value: ({ prompt }) => prompt, shrinks: true },
];

const rows: Row[] = [
  { id: "0192f1c4-7d3a", steps: 2, prompt: "Where is my order?" },
  { id: "0192f1c4-7d3b", steps: 11, prompt: "注文はどこですか" },
];

describe("A table", () => {
  test("stands in columns as wide as what is in them", () => {
    assert.deepEqual(renderTable(rows, columns, { width: undefined, paint: plain }), [
      "ID             STEPS  PROMPT",
      "0192f1c4-7d3a      2  Where is my order?",
      "0192f1c4-7d3b     11  注文はどこですか",
    ]);
  });

  test("fits the terminal by cutting what may be cut, and no id", () => {
    const lines = renderTable(rows, columns, { width: 32, paint: plain });
    assert.deepEqual(lines[1], "0192f1c4-7d3a      2  Where is…");
    assert.ok(lines.every((line) => columnsOf(line) <= 32));
  });

  test("leaves out what can be spared before it cuts what is read", () => {
    const spare = columns.map((column) => ({ ...column, spare: column.title === "STEPS" }));
    const lines = renderTable(rows, spare, { width: 34, paint: plain });
    assert.deepEqual(lines.slice(0, 2), ["ID             PROMPT", "0192f1c4-7d3a  Where is my order?"]);
  });

  test("is wider than the terminal rather than unreadable", () => {
    const [, line = ""] = renderTable(rows, columns, { width: 10, paint: plain });
    assert.equal(line, "0192f1c4-7d3a      2  Where i…");
  });

  test("colours a cell by its row", () => {
    const marked: Column<Row>[] = [
      { title: "ID", value: ({ id }) => id, format: ({ steps }) => (steps > 10 ? "red" : "green") },
    ];
    const lines = renderTable(rows, marked, {
      width: undefined,
      paint: (format, text) => `<${String(format)}>${text}`,
    });
    assert.deepEqual(lines, ["<dim>ID", "<green>0192f1c4-7d3a", "<red>0192f1c4-7d3b"]);
  });
});
