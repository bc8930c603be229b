/**
 * `npm run bench`: every claim about speed, measured now, on this machine.
 *
 *   npm run bench                                   PGlite, and PostgreSQL if it is reachable
 *   npm run bench -- --seconds 10 --levels 1,128    longer, and only these numbers of concurrent tasks
 *   npm run bench -- --peers                        beside other engines, each on a fresh store
 *   npm run bench -- --peers --only holdfast,dbos --rounds 3 --markdown docs/operations/performance.md
 *   npm run bench -- --scale-out                    1 to 4 worker processes on one PostgreSQL
 *   npm run bench -- --stored-sessions 1000000      on an empty database, and on one that keeps a million sessions
 *   npm run bench -- --capacity                     a million sessions, simulated with the costs measured here
 *   npm run bench -- --size                         what long tasks, waiting tasks and tasks in flight cost
 *   npm run bench -- --queue                        claims and fairness, with up to 100,000 tasks waiting
 *   npm run bench -- --gate                         four processes and the limits of a provider; takes a quarter of an hour
 *   npm run bench -- --gateway                      what the gateway adds to a call, beside another gateway and none
 *   npm run bench -- --streams                      event streams of tasks that run in another process
 *
 * Absolute figures hold only for the machine they were measured on: compare the ratios within one run. What each measures,
 * and how, is on docs/operations/performance.md.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { measureCapacity } from "./capacity/main.ts";
import { compare } from "./comparison/compare.ts";
import { comparisonMarkdown, writeInto } from "./comparison/report.ts";
import { databasesToMeasure, openServer } from "./databases.ts";
import { measureDurableOverhead } from "./durable-overhead.ts";
import { measureGate } from "./gate.ts";
import { measureGateway } from "./gateway/main.ts";
import { printGateways } from "./gateway/report.ts";
import type { Load } from "./measure.ts";
import { measureStoredSessions } from "./stored-sessions.ts";
import { measureClaims, measureWaits } from "./queue.ts";
import { printDurableOverhead, printStreams } from "./report.ts";
import { measureScaleOut } from "./scale-out.ts";
import { measureCostGrowth, measureInFlight, measureWaiting } from "./size.ts";
import { measureStreams } from "./streams.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    levels: { type: "string" },
    peers: { type: "boolean", default: false },
    "scale-out": { type: "boolean", default: false },
    capacity: { type: "boolean", default: false },
    "stored-sessions": { type: "string" },
    size: { type: "boolean", default: false },
    // With --size:
    "in-flight": { type: "string", default: "10000" },
    waiting: { type: "string", default: "100000" },
    queue: { type: "boolean", default: false },
    streams: { type: "boolean", default: false },
    gate: { type: "boolean", default: false },
    gateway: { type: "boolean", default: false },
    // With --peers or --scale-out: a server to use instead of one of the run's own.
    "database-url": { type: "string" },
    // With --peers:
    only: { type: "string" },
    rounds: { type: "string", default: "1" },
    "absurd-sql": { type: "string" },
    markdown: { type: "string" },
  },
});
const databaseUrl = values["database-url"];

if (values.peers) await runComparison();
else if (values["scale-out"]) await measureScaleOut({ concurrency: highestLevel(), load: loadOf("8"), databaseUrl });
else if (values["stored-sessions"] !== undefined) await runStoredSessions(values["stored-sessions"]);
else if (values.capacity) await measureCapacity(loadOf("4"));
else if (values.size) await runSize();
else if (values.queue) await runQueue();
else if (values.streams) await runStreams();
else if (values.gate) await measureGate();
else if (values.gateway) await runGateway();
else await runDurableOverhead();

function loadOf(defaultSeconds: string): Load {
  const measureMs = numberOf("--seconds", values.seconds ?? defaultSeconds) * 1_000;
  return { warmUpMs: Math.min(2_000, measureMs / 2), measureMs };
}

function levels(usual = "1,16,128"): number[] {
  return (values.levels ?? usual).split(",").map((level) => numberOf("--levels", level));
}

function highestLevel(): number {
  return Math.max(...levels());
}

/** What is no number would be measured for no time, and look like a figure. */
function numberOf(name: string, text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && number >= 0 && Number.isFinite(number)) return number;
  throw new Error(`${name} has ${JSON.stringify(text)} where a number is needed.`);
}

async function runStoredSessions(sessions: string): Promise<void> {
  const load = { ...loadOf("8"), concurrency: highestLevel() };
  await measureStoredSessions(numberOf("--stored-sessions", sessions), load);
}

async function runStreams(): Promise<void> {
  const { measureMs } = loadOf("10");
  console.log("\nEvent streams of 200 tasks that run in another process, which runs other tasks beside them\n");
  printStreams(await measureStreams(levels("0,200,2000"), { watchedTasks: 200, measureMs }));
}

async function runGateway(): Promise<void> {
  const { measureMs } = loadOf("10");
  const rows = await measureGateway({ connections: levels("1,64"), measureMs, turns: 5 });
  if (rows === undefined) return console.log("\nPostgreSQL is not reachable: the gateway has no database.");
  printGateways(rows);
}

async function runDurableOverhead(): Promise<void> {
  for await (const { name, database } of databasesToMeasure()) {
    console.log(`\nDurable overhead on ${name}: a task of 5 turns and 4 tool calls, instant model\n`);
    printDurableOverhead(await measureDurableOverhead(database, { levels: levels(), load: loadOf("5") }));
  }
}

async function runSize(): Promise<void> {
  // The memory of an embedded database would be counted as the worker's.
  await using server = await openServer();
  if (server === undefined) return console.log("\nPostgreSQL is not reachable: there is nothing to measure on.");
  const { database } = server;
  console.log("\nWhat a step costs, by the length of its task\n");
  console.table(await measureCostGrowth(database, [10, 100, 1_000]));
  console.log("\nTasks in flight in one worker\n");
  console.table(await measureInFlight(database, numberOf("--in-flight", values["in-flight"])));
  console.log("\nTasks that wait\n");
  console.table(await measureWaiting(database, numberOf("--waiting", values.waiting)));
}

async function runQueue(): Promise<void> {
  for await (const { name, database } of databasesToMeasure()) {
    console.log(`\nClaims on ${name}: so many tasks of so many tenants wait\n`);
    console.table(await measureClaims(database));
    console.log(`\nWaits on ${name}: three tasks of one tenant, 16 slots, a model that takes 50 ms\n`);
    console.table(await measureWaits(database));
  }
}

async function runComparison(): Promise<void> {
  const comparison = await compare({
    only: values.only?.split(",") ?? [],
    levels: levels(),
    rounds: numberOf("--rounds", values.rounds),
    load: loadOf("8"),
    databaseUrl,
    absurdSql: values["absurd-sql"] && resolve(values["absurd-sql"]),
  });
  const markdown = comparisonMarkdown(comparison);
  console.log(`\n${markdown}`);
  if (values.markdown !== undefined) await writeInto(values.markdown, markdown);
}
