/**
 * Runs all subjects on the same work, one after the other and never two at once, round robin: every subject at one number of
 * concurrent tasks, then every subject at the next, so that a machine that changes its pace in between does it to all.
 */
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { type Cell, checkSubject, measureCell, type Stage } from "./cell.ts";
import { absurdSchema, installedVersion, installPeers } from "./install.ts";
import { usePostgres } from "./postgres-server.ts";
import type { Checked } from "./subject.ts";
import { type SubjectEntry, subjects } from "./subjects.ts";

interface ComparisonOptions {
  /** Names of subjects, or how they begin; empty: all. */
  readonly only: readonly string[];
  readonly levels: readonly number[];
  readonly rounds: number;
  readonly load: { readonly warmUpMs: number; readonly measureMs: number };
  /** Undefined: a server of this run's own. */
  readonly databaseUrl: string | undefined;
  readonly absurdSql: string | undefined;
}

export interface Comparison {
  readonly options: ComparisonOptions;
  /** Those that were measured, as listed. */
  readonly subjects: readonly SubjectEntry[];
  readonly checks: ReadonlyMap<string, Checked>;
  /** One per subject, level and round. */
  readonly cells: readonly Cell[];
  readonly versions: readonly string[];
  readonly machine: string;
  /** Who could not be measured and why, and what else has to be known to read the figures. */
  readonly remarks: readonly string[];
}

export async function compare(options: ComparisonOptions): Promise<Comparison> {
  const remarks: string[] = [];
  const { chosen, absurdSql } = await bringPeers(choose(options.only), options.absurdSql, remarks);
  const loadBefore = loadavg()[0] ?? 0;
  const postgres = await usePostgres(options.databaseUrl);
  try {
    remarks.push(...postgres.caveats);
    if (loadBefore > 0.5)
      remarks.push(`The machine was not quiet: its load average was ${loadBefore.toFixed(1)} before.`);
    const stage: Stage = { postgres, absurdSql };
    const checks = await checkAll(stage, chosen, remarks);
    const able = chosen.filter(({ name }) => checks.has(name));
    const cells = await measureAll(stage, able, { ...options, remarks });
    const measured = able.filter(({ name }) => cells.some(({ subject }) => subject === name));
    const versions = await versionsOf(measured);
    const machine = describeMachine(postgres.version);
    return { options, subjects: measured, checks, cells, versions, machine, remarks };
  } finally {
    await postgres.stop();
  }
}

function choose(only: readonly string[]): SubjectEntry[] {
  if (only.length === 0) return [...subjects];
  const chosen = subjects.filter(({ name }) => only.some((wanted) => name === wanted || name.startsWith(`${wanted}-`)));
  const unknown = only.find((wanted) => !chosen.some(({ name }) => name === wanted || name.startsWith(`${wanted}-`)));
  if (unknown === undefined) return chosen;
  throw new Error(`${unknown} is none of ${subjects.map(({ name }) => name).join(", ")}.`);
}

/** Installs what the chosen ones need; leaves out those that cannot have it, with one remark. */
async function bringPeers(
  wanted: readonly SubjectEntry[],
  givenAbsurdSql: string | undefined,
  remarks: string[],
): Promise<{ chosen: readonly SubjectEntry[]; absurdSql: string }> {
  const isPeer = ({ packages }: SubjectEntry): boolean => packages.length > 0;
  const isAbsurd = ({ packages }: SubjectEntry): boolean => packages.includes("absurd-sdk");
  try {
    if (wanted.some(isPeer)) installPeers();
  } catch (error) {
    remarks.push(`The peers are left out: ${messageOf(error)}`);
    return { chosen: wanted.filter((subject) => !isPeer(subject)), absurdSql: "" };
  }
  try {
    return { chosen: wanted, absurdSql: wanted.some(isAbsurd) ? await absurdSchema(givenAbsurdSql) : "" };
  } catch (error) {
    remarks.push(`Absurd is left out: ${messageOf(error)}`);
    return { chosen: wanted.filter((subject) => !isAbsurd(subject)), absurdSql: "" };
  }
}

async function checkAll(
  stage: Stage,
  chosen: readonly SubjectEntry[],
  remarks: string[],
): Promise<Map<string, Checked>> {
  const checks = new Map<string, Checked>();
  for (const subject of chosen) {
    try {
      checks.set(subject.name, await checkSubject(stage, subject));
      console.error(`checked   ${subject.name}`);
    } catch (error) {
      console.error(`left out  ${subject.name}: ${messageOf(error)}`);
      remarks.push(`${subject.name} is left out: ${messageOf(error)}`);
    }
  }
  return checks;
}

async function measureAll(
  stage: Stage,
  able: readonly SubjectEntry[],
  { levels, rounds, load, remarks }: ComparisonOptions & { readonly remarks: string[] },
): Promise<Cell[]> {
  const cells: Cell[] = [];
  for (let round = 0; round < rounds; round++) {
    // Whoever runs after a busy one finds the disk as that one left it: the order changes.
    const order = round % 2 === 0 ? able : able.toReversed();
    for (const concurrency of levels) {
      for (const subject of order) {
        try {
          const cell = await measureCell(stage, subject, { ...load, concurrency });
          cells.push(cell);
          console.error(`measured  ${subject.name} at ${concurrency}: ${cell.tasksPerSecond.toFixed(1)} tasks/s`);
        } catch (error) {
          console.error(`failed    ${subject.name} at ${concurrency}: ${messageOf(error)}`);
          remarks.push(`${subject.name} failed at ${concurrency} concurrent tasks: ${messageOf(error)}`);
        }
      }
    }
  }
  return cells;
}

async function versionsOf(measured: readonly SubjectEntry[]): Promise<string[]> {
  const names = [...new Set(measured.flatMap(({ packages }) => packages))];
  return Promise.all(names.map(async (name) => `${name} ${await installedVersion(name)}`));
}

function describeMachine(postgresVersion: string): string {
  const gib = Math.round(totalmem() / 2 ** 30);
  const model = cpus()[0]?.model.trim() ?? "an unknown processor";
  const cores = `${availableParallelism()} cores (${model}), ${gib} GiB`;
  return `${cores}, ${process.platform}, Node ${process.versions.node}, PostgreSQL ${postgresVersion.split(" ")[0]}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
