/**
 * `npm run simulate -- [--seed S] [--seeds N] [--jobs J] [--bug NAME] [--verbose]`: runs N seeds from S on (without `--seeds`: that one
 * alone), and says which break an invariant. See docs/operations/testing.md.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock } from "../../src/platform/clock.ts";
import { Plant } from "./plant.ts";
import { plantedBugs } from "./planted-bugs.ts";
import { report, runSeeds } from "./run-seeds.ts";

interface Orders {
  readonly first: number;
  readonly count: number;
  readonly jobs: number;
  readonly bug: string | undefined;
  readonly isVerbose: boolean;
}

const progressEvery = 100;

process.exitCode = await main(readOrders());

/** @returns the exit code: 1 when an invariant was broken */
async function main(orders: Orders): Promise<number> {
  return orders.jobs > 1 ? divide(orders) : simulate(orders);
}

function readOrders(): Orders {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      jobs: { type: "string", default: "1" },
      bug: { type: "string" },
      verbose: { type: "boolean", default: false },
    },
  });
  return {
    first: whole("--seed", values.seed ?? "1"),
    count: whole("--seeds", values.seeds ?? (values.seed === undefined ? "100" : "1")),
    jobs: whole("--jobs", values.jobs),
    bug: values.bug,
    isVerbose: values.verbose,
  };
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`${name} is ${text}, and must be a whole number above 0.`);
}

async function simulate({ first, count, bug, isVerbose }: Orders): Promise<number> {
  const startedAt = systemClock.monotonic();
  let run = 0;
  let broken = 0;
  const seeds = { first, count, ...(bug !== undefined && { plant: plantOf(bug) }) };
  await runSeeds(seeds, (outcome) => {
    run += 1;
    if (isVerbose) say(outcome.trace.join("\n"));
    if (count === 1) say(`seed ${outcome.seed} has the hash ${outcome.hash}`);
    if (outcome.violations.length > 0) {
      broken += 1;
      say(report(outcome, bug));
    }
    if (run % progressEvery === 0) say(`${run} of ${count} seeds, from ${first} on; ${broken} broke an invariant`);
    return true;
  });
  const ms = (systemClock.monotonic() - startedAt) / run;
  say(`${run} seeds from ${first} on, ${ms.toFixed(0)} ms each; ${broken} broke an invariant`);
  return broken === 0 ? 0 : 1;
}

function plantOf(name: string): Plant {
  const bug = plantedBugs.find((each) => each.name === name);
  if (bug !== undefined) return new Plant(bug);
  throw new Error(`There is no planted bug "${name}". There are:\n${plantedBugs.map((each) => each.name).join("\n")}`);
}

/** Each process takes a stretch of the seeds. */
async function divide({ first, count, jobs, bug, isVerbose }: Orders): Promise<number> {
  const share = Math.ceil(count / jobs);
  const codes = Array.from({ length: Math.ceil(count / share) }, async (_, job) => {
    const from = first + job * share;
    const seeds = Math.min(share, first + count - from);
    const options = [...(bug === undefined ? [] : ["--bug", bug]), ...(isVerbose ? ["--verbose"] : [])];
    const wanted = ["--seed", String(from), "--seeds", String(seeds), ...options];
    const line = [...process.execArgv, fileURLToPath(import.meta.url), ...wanted];
    const child = spawn(process.execPath, line, { stdio: "inherit" });
    const [code] = (await once(child, "exit")) as [number | null];
    return code ?? 1;
  });
  return Math.max(...(await Promise.all(codes)));
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
