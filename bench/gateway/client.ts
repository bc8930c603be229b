/**
 * The load of the gateway's bench: told in lines whom to ask, how often at a time and for how long, it answers each with what
 * it saw. One process asks all of them, so that its own cost is the same for each.
 */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { type Load, measure, percentile } from "../measure.ts";
import { firstMark, lastMark, requestBody } from "./work.ts";

export interface Turn extends Load {
  /** Where chat completions are asked for, without that path: "http://127.0.0.1:4100/v1". */
  readonly base: string;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly streaming: boolean;
  readonly connections: number;
}

export interface Seen {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** To the first token; NaN of answers that do not stream, null in JSON. */
  readonly firstP50Ms: number | null;
  readonly firstP99Ms: number | null;
  /** Including those of the warm-up. */
  readonly allRequests: number;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await runTurn(JSON.parse(line) as Turn)));
}

async function runTurn(turn: Turn): Promise<Seen> {
  const agent = new Agent({ keepAlive: true, maxSockets: turn.connections });
  const body = requestBody(turn);
  const headers = {
    ...turn.headers,
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
  };
  const firsts: number[] = [];
  const ask = async (): Promise<void> => {
    const from = performance.now();
    const asked = request(`${turn.base}/chat/completions`, { agent, method: "POST", headers });
    asked.end(body);
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    const firstAt = await readWhole(response);
    if (turn.streaming) firsts.push(firstAt - from);
  };
  const onEdge = (edge: "begin" | "end"): void => {
    if (edge === "begin") firsts.length = 0;
  };
  const measured = await measure(ask, { ...turn, concurrency: turn.connections, onEdge });
  agent.destroy();
  firsts.sort((a, b) => a - b);
  return {
    requestsPerSecond: measured.tasksPerSecond,
    p50Ms: measured.p50Ms,
    p99Ms: measured.p99Ms,
    firstP50Ms: percentile(firsts, 0.5),
    firstP99Ms: percentile(firsts, 0.99),
    allRequests: measured.allTasks,
  };
}

/** @returns when its first token came. @throws Error for any other answer than the provider's, whole */
async function readWhole(response: IncomingMessage): Promise<number> {
  let text = "";
  let firstAt = Number.NaN;
  response.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
    if (Number.isNaN(firstAt) && text.includes(firstMark)) firstAt = performance.now();
  });
  await once(response, "end");
  if (response.statusCode === 200 && !Number.isNaN(firstAt) && text.includes(lastMark)) return firstAt;
  throw new Error(`It was answered with ${response.statusCode}: ${text.slice(0, 300)}`);
}
