/**
 * Claim: the gateway adds little to a call. A provider that answers at once is called directly, through Holdfast and through
 * Portkey's gateway: each of them a process of its own, and so are the provider and the client.
 *
 *   npm run bench -- --gateway
 *   npm run bench -- --gateway --seconds 20 --levels 1,64,256
 *
 * They take short turns, so that whatever else the machine does meets all of them; each figure is the median of the turns.
 */
import { join } from "node:path";
import { startProcess, type BenchProcess } from "../comparison/bench-process.ts";
import { cpuMsOfTree } from "../comparison/cpu.ts";
import type { Seen, Turn } from "./client.ts";
import { direct, type GatewaySubject, portkeyVersion, startHoldfastGateway, startPortkey } from "./subjects.ts";

export interface GatewayLoad {
  readonly connections: readonly number[];
  /** Of each subject at each number of connections, plain and streaming; in turns. */
  readonly measureMs: number;
  readonly turns: number;
  /** Default true. */
  readonly beside?: boolean;
}

export interface GatewayRow {
  readonly subject: GatewaySubject["name"];
  readonly streaming: boolean;
  readonly connections: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** NaN of answers that do not stream. */
  readonly firstP50Ms: number;
  readonly firstP99Ms: number;
  /** Of the gateway's process, for each request; NaN where there is none, or no /proc. */
  readonly cpuMs: number;
}

const patienceMs = 3_600_000;

/** Code is compiled while it runs: a gateway is as fast as it gets after some thousand calls, which one at a time are many. */
function warmUpMs({ measureMs }: GatewayLoad): number {
  return Math.min(5_000, 2 * measureMs);
}

/** Undefined where there is no server for the gateway's database. */
export async function measureGateway(load: GatewayLoad): Promise<GatewayRow[] | undefined> {
  await using open = new AsyncDisposableStack();
  const version = load.beside === false ? undefined : await portkeyVersion();
  const start = (file: string): BenchProcess =>
    open.use(startProcess(join(import.meta.dirname, file), { values: [], patienceMs }));
  const { base: provider } = (await start("provider.ts").nextLine()) as { base: string };
  const holdfast = await startHoldfastGateway(provider, open);
  if (holdfast === undefined) return undefined;
  const subjects = [direct(provider), holdfast];
  if (version !== undefined) {
    subjects.push(await startPortkey(provider, open));
    console.log(`\nA provider that answers at once, called directly and through gateways; ${version}\n`);
  }
  const client = start("client.ts");
  const rows: GatewayRow[] = [];
  for (const streaming of [false, true]) {
    const warmUp = { streaming, connections: Math.max(...load.connections), measureMs: warmUpMs(load) };
    for (const subject of subjects) await takeTurn(client, subject, warmUp);
    for (const connections of load.connections) {
      rows.push(...(await measureCell({ client, subjects }, { ...load, streaming, connections })));
    }
  }
  return rows;
}

interface CellLoad extends Pick<Turn, "streaming" | "connections" | "measureMs"> {
  readonly turns: number;
}

async function measureCell(
  { client, subjects }: { client: BenchProcess; subjects: readonly GatewaySubject[] },
  { streaming, connections, measureMs, turns }: CellLoad,
): Promise<GatewayRow[]> {
  const perTurn = { streaming, connections, measureMs: measureMs / turns };
  const seen = new Map<GatewaySubject, Costed[]>(subjects.map((subject) => [subject, []]));
  for (let turn = 0; turn < turns; turn++) {
    for (const subject of subjects) seen.get(subject)?.push(await takeTurn(client, subject, perTurn));
  }
  return [...seen].map(([{ name }, all]) => {
    const middle = (figure: keyof Costed): number => median(all.map((each) => each[figure] ?? Number.NaN));
    return {
      subject: name,
      streaming,
      connections,
      requestsPerSecond: middle("requestsPerSecond"),
      p50Ms: middle("p50Ms"),
      p99Ms: middle("p99Ms"),
      firstP50Ms: middle("firstP50Ms"),
      firstP99Ms: middle("firstP99Ms"),
      cpuMs: middle("cpuMs"),
    };
  });
}

interface Costed extends Seen {
  readonly cpuMs: number;
}

async function takeTurn(
  client: BenchProcess,
  { base, model, headers, pid }: GatewaySubject,
  load: Pick<Turn, "streaming" | "connections" | "measureMs">,
): Promise<Costed> {
  const readCpuMs = (): number => cpuMsOfTree(pid) ?? Number.NaN;
  const before = readCpuMs();
  client.send(JSON.stringify({ base, model, headers, warmUpMs: 0, ...load } satisfies Turn));
  const seen = (await client.nextLine()) as Seen;
  return { ...seen, cpuMs: (readCpuMs() - before) / seen.allRequests };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
