/** The bench measures what it says: its arithmetic, its processes, and that it notices what is not durable. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { startProcess } from "../../bench/comparison/bench-process.ts";
import { type Cell, checkSubject, measureCell } from "../../bench/comparison/cell.ts";
import type { Comparison } from "../../bench/comparison/compare.ts";
import { cpuMsOfTree } from "../../bench/comparison/cpu.ts";
import { usePostgres } from "../../bench/comparison/postgres-server.ts";
import { comparisonMarkdown, writeInto } from "../../bench/comparison/report.ts";
import { type SubjectEntry, subjects } from "../../bench/comparison/subjects.ts";
import { type GatewayRow, measureGateway } from "../../bench/gateway/main.ts";
import { ratiosOf, rowOf } from "../../bench/gateway/report.ts";
import { measure } from "../../bench/measure.ts";
import { marks, payloadBytes, prompt, runTurns, stepsPerTask } from "../../bench/work.ts";
import { createServerDatabase } from "../support/databases.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-test-"));
after(() => rmSync(folder, { recursive: true }));

const server = await createServerDatabase();
after(() => server?.drop());
const noServer = server === undefined ? "there is no PostgreSQL server" : false;

describe("The load", () => {
  test("is as many tasks at a time as there are clients, and lasts until each could have done one", async () => {
    let running = 0;
    let most = 0;
    const edges: string[] = [];
    const task = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
    };
    const onEdge = (edge: string): void => void edges.push(edge);
    const measured = await measure(task, { concurrency: 3, warmUpMs: 0, measureMs: 0, onEdge });
    assert.equal(most, 3);
    assert.deepEqual(edges, ["begin", "end"]);
    assert.equal(measured.tasks, 3);
    assert.ok(measured.allTasks >= 6, "the warm-up is counted too");
    assert.ok(measured.p50Ms <= measured.p99Ms && measured.tasksPerSecond > 0);
  });
});

describe("The work", () => {
  test("is ten messages of about 500 bytes, each with a text of its own", async () => {
    const messages = [prompt];
    await runTurns(async (_name, perform) => {
      const step = await perform();
      messages.push(JSON.stringify(step));
      return step;
    });
    assert.equal(messages.length, stepsPerTask);
    assert.ok(payloadBytes > stepsPerTask * 400 && payloadBytes < stepsPerTask * 550, `${payloadBytes} bytes`);
    assert.deepEqual(
      marks.map((mark) => messages.filter((message) => message.includes(mark)).length),
      marks.map(() => 1),
    );
  });
});

describe("Processor time", { skip: process.platform === "linux" ? false : "it is read from /proc" }, () => {
  test("of a process includes that of the ones it started, also when they have ended", () => {
    const before = cpuMsOfTree(process.pid) ?? Number.NaN;
    const burn = "const end = process.cpuUsage().user + 200_000; while (process.cpuUsage().user < end);";
    spawnSync(process.execPath, ["--eval", burn]);
    assert.ok((cpuMsOfTree(process.pid) ?? Number.NaN) - before >= 190);
  });

  test("of no process is unknown", () => {
    assert.equal(cpuMsOfTree(null), null);
    assert.equal(cpuMsOfTree(2 ** 30), null);
  });
});

describe("A process of the bench", () => {
  const start = (name: string, script: string) => {
    const file = join(folder, `${name}.ts`);
    writeFileSync(file, script);
    return startProcess(file, { values: [{ answer: 42 }], patienceMs: 20_000 });
  };

  test("is told its values and answers lines of JSON; what else it prints is passed over", async () => {
    await using child = start("talks", 'console.log("Welcome!"); console.log(process.argv[2]);');
    assert.deepEqual(await child.nextLine(), { answer: 42 });
    await child.ended();
  });

  test("that fails says why", async () => {
    await using child = start("fails", 'throw new TypeError("there is no such table");');
    await assert.rejects(child.nextLine(), /it ended with code 1: .*there is no such table/);
  });
});

describe("A subject", { skip: noServer }, () => {
  const named = (name: string): SubjectEntry => {
    const subject = subjects.find((candidate) => candidate.name === name);
    assert.ok(subject);
    return subject;
  };

  test("is checked for what is durable before each step, and measured with what it cost", async () => {
    const postgres = await usePostgres(server?.url);
    try {
      const stage = { postgres, absurdSql: "" };
      for (const name of ["holdfast", "raw"]) {
        const { early, durable } = await checkSubject(stage, named(name));
        assert.equal(early, 0, name);
        assert.ok(durable >= stepsPerTask, name);
      }
      const cell = await measureCell(stage, named("raw"), { concurrency: 2, warmUpMs: 0, measureMs: 0 });
      assert.equal(cell.counters?.inserted, cell.allTasks * stepsPerTask);
      assert.equal(cell.counters?.updated, 0);
      assert.ok(cell.clientCpuMs > 0);
    } finally {
      await postgres.stop();
    }
  });
});

describe("The gateway", () => {
  test("answers what its provider does, plain and streaming", { skip: noServer }, async () => {
    const rows = await measureGateway({ connections: [2], measureMs: 0, turns: 1, beside: false });
    assert.deepEqual(
      rows?.map(({ subject, streaming }) => [subject, streaming]),
      [false, true].flatMap((streaming) => ["direct", "Holdfast"].map((subject) => [subject, streaming])),
    );
    for (const { requestsPerSecond, firstP50Ms, streaming } of rows ?? []) {
      assert.ok(requestsPerSecond > 0);
      assert.equal(Number.isNaN(firstP50Ms), !streaming);
    }
  });

  test("is set beside another one by what each adds to the call without any", () => {
    const row = (subject: GatewayRow["subject"], ms: number): GatewayRow => ({
      subject,
      streaming: false,
      connections: 64,
      requestsPerSecond: 6_000 / ms,
      p50Ms: ms,
      p99Ms: 2 * ms,
      firstP50Ms: Number.NaN,
      firstP99Ms: Number.NaN,
      cpuMs: ms,
    });
    const rows = [row("direct", 1), row("Holdfast", 2), row("Portkey", 6)];
    assert.deepEqual(
      rows.map((each) => rowOf(each, rows)["added p99"]),
      ["", 2, 10],
    );
    assert.deepEqual(ratiosOf(rows), [
      {
        answers: "plain",
        connections: 64,
        "requests/s": 3,
        "added p50": 0.2,
        "added p99": 0.2,
        "added first token p50": "",
        "added first token p99": "",
        CPU: 0.33,
      },
    ]);
  });
});

describe("The report", () => {
  const cell = (subject: string, tasksPerSecond: number): Cell => ({
    subject,
    concurrency: 16,
    tasksPerSecond,
    p50Ms: 10,
    p99Ms: 15,
    tasks: 100,
    allTasks: 200,
    clientCpuMs: 50,
    serverCpuMs: 150,
    counters: { statements: null, transactions: 4_000, inserted: 2_000, updated: 200, deleted: 0, walBytes: 2_048_000 },
  });
  const comparison: Comparison = {
    options: {
      only: [],
      levels: [16],
      rounds: 3,
      load: { warmUpMs: 1, measureMs: 8_000 },
      databaseUrl: undefined,
      absurdSql: undefined,
    },
    subjects: subjects.filter(({ name }) => name === "holdfast" || name === "langgraph"),
    checks: new Map([
      ["holdfast", { early: 0, durable: 11 }],
      ["langgraph", { early: 3, durable: 10 }],
    ]),
    cells: [cell("holdfast", 200), cell("langgraph", 90), cell("langgraph", 50), cell("langgraph", 10)],
    versions: ["@langchain/langgraph 1.7.3"],
    machine: "2 cores",
    remarks: ["dbos is left out: it could not be installed."],
  };

  test("sets the median round beside Holdfast's, and says who is missing", () => {
    const markdown = comparisonMarkdown(comparison);
    assert.match(markdown, /^2 cores\. 8 s per cell, medians of 3 rounds\. @langchain\/langgraph 1\.7\.3\./);
    assert.match(
      markdown,
      /\| LangGraph.* \| no, 3 of 9 began early \| 50\.0 \(0\.25\) \| 10\.0 \/ 15\.0 \(1\.50\) \|/,
    );
    assert.match(markdown, /\| LangGraph.* \| 20\.0 \(2\.00\) \|  \| 10\.0 \/ 1\.00 \/ 0 \| 10\.0 \|/);
    assert.match(markdown, /^- dbos is left out: it could not be installed\.$/m);
  });

  test("is written between the markers of a page, and nowhere else", async () => {
    const page = join(folder, "page.md");
    const performance = readFileSync(join(import.meta.dirname, "../../docs/operations/performance.md"), "utf8");
    writeFileSync(page, performance);
    await writeInto(page, "first");
    await writeInto(page, "second");
    const written = readFileSync(page, "utf8");
    const [before, after] = written.split("\n\nsecond\n\n");
    assert.ok(before && after && performance.startsWith(before) && performance.endsWith(after));
    writeFileSync(page, "no markers");
    await assert.rejects(writeInto(page, "third"), /lacks the lines/);
  });
});
