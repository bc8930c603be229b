/** A process of bench/streams.ts: the worker, the API, or the readers. It answers questions, a line each. */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { createHoldfast, defineAgent, defineConfig, defineTool, type Holdfast } from "../src/index.ts";
import type { ModelGateway } from "../src/gateway/model-gateway.ts";
import { systemClock } from "../src/platform/clock.ts";
import { readSettings } from "../src/platform/settings.ts";
import { createHttpServer } from "../src/server/http/server.ts";
import { openPostgres } from "../src/store/postgres.ts";
import { silentLogger } from "../src/telemetry/log.ts";
import { scriptedGateway } from "../src/testing/scripted-model.ts";
import { collectGarbage } from "./garbage.ts";
import { percentile } from "./measure.ts";

const piece = "Twenty-four characters. ";
const piecesPerTurn = 20;
const pieceMs = 200;
/** Other tasks that the worker runs as fast as it can, beside those that are watched. */
const otherTasks = 16;

type Answers = Record<string, () => Promise<object>>;

const settings = JSON.parse(process.argv[2] ?? "") as {
  role: "worker" | "api" | "readers";
  url: string;
  base: string;
  subscribers: number;
  watchedTasks: number;
  measureMs: number;
};
const { ready, answers } = await { worker, api, readers }[settings.role]();
print(ready);
for await (const question of createInterface({ input: process.stdin })) print(await answers[question]!());
// Its tasks and streams would go on without anybody to ask for them.
process.exit();

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function worker(): Promise<{ ready: object; answers: Answers }> {
  const holdfast = await start(["worker"]);
  let tasks = 0;
  const others = async (): Promise<never> => {
    for (;;) {
      await (await holdfast.submit({ agent: "instant", prompt: "Be quick." })).result();
      tasks += 1;
    }
  };
  const failed = (error: unknown): never => {
    console.error(error);
    process.exit(1);
  };
  for (let other = 0; other < otherTasks; other++) others().catch(failed);
  return {
    ready: {},
    answers: {
      reset: async () => ({ tasks: (tasks = 0) }),
      state: async () => ({ tasks }),
    },
  };
}

async function api(): Promise<{ ready: object; answers: Answers }> {
  let statements = 0;
  const holdfast = await start(["api"], () => (statements += 1));
  const base = await createHttpServer(holdfast).listen({ host: "127.0.0.1", port: 0 });
  const heldKb = (): number => {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / 1024;
  };
  return {
    ready: { base, emptyKb: heldKb() },
    answers: { state: async () => ({ statements, heldKb: heldKb() }) },
  };
}

async function start(roles: ("api" | "worker")[], onStatement: () => void = () => {}): Promise<Holdfast> {
  const look = defineTool({
    name: "look",
    version: "1.0.0",
    description: "Looks.",
    effect: "read",
    input: { type: "object" },
    run: () => "seen",
  });
  const limits = { tokens: 100_000_000, maxSteps: 100_000 };
  const agents = ["talker", "instant"].map((name) =>
    defineAgent({ name, instructions: "Talk.", tools: ["look"], limits }),
  );
  const database = await openPostgres({ url: settings.url });
  return createHoldfast(defineConfig({ agents, tools: [look], slots: 2_000 }), {
    settings: readSettings({}),
    roles,
    parts: {
      database: {
        ...database,
        query: (statement) => (onStatement(), database.query(statement)),
        batch: (all) => (onStatement(), database.batch(all)),
      },
      gateway: talkingGateway(),
      log: silentLogger,
    },
  });
}

/** The one agent talks for four seconds before every call of its tool, up to its last step; the other answers at once. */
function talkingGateway(): ModelGateway {
  const instant = scriptedGateway(() => ({ text: piece }));
  const talking = scriptedGateway(({ messages }) => ({
    text: piece.repeat(piecesPerTurn),
    calls: [{ name: "look", input: { turn: messages.length } }],
  }));
  return {
    async call(request) {
      const isWatched = request.messages[0]?.role === "user" && request.messages[0].text === "Talk.";
      if (!isWatched) return instant.call(request);
      for (let said = 0; said < piecesPerTurn; said++) {
        request.onDelta({ type: "text", text: piece });
        await systemClock.sleep(pieceMs, request.signal);
      }
      return talking.call({ ...request, onDelta: () => {} });
    },
  };
}

async function readers(): Promise<{ ready: object; answers: Answers }> {
  const { base, subscribers, watchedTasks, measureMs } = settings;
  const taskIds = await Promise.all(Array.from({ length: watchedTasks }, () => submit(base)));
  const latencies: number[] = [];
  let deltas = 0;
  let since = Infinity;
  const onData = (text: string): void => {
    const now = Date.now();
    for (const event of text.split("\n\n")) {
      if (event.includes("event: delta\n")) deltas += 1;
      const at = /"at":"([^"]+)"/.exec(event)?.[1];
      // A reader that comes late is told of what was before it, which was not slow to come.
      const madeAt = at === undefined ? Number.NaN : Date.parse(at);
      if (madeAt >= since) latencies.push(now - madeAt);
    }
  };
  // A task has no more than 25 turns, which are 100 seconds: then its streams end, and the figures would be those of fewer.
  let ended = 0;
  await Promise.all(
    Array.from({ length: subscribers }, async (_, n) => {
      const socket = await subscribe(base, taskIds[n % watchedTasks]!, onData);
      socket.on("close", () => (ended += 1));
    }),
  );
  return {
    ready: {},
    answers: {
      measure: async () => {
        since = Date.now();
        deltas = 0;
        await systemClock.sleep(measureMs);
        const sorted = latencies.toSorted((a, b) => a - b);
        if (ended > 0) throw new Error(`${ended} streams ended while they were measured.`);
        return {
          subscribers,
          entries: sorted.length,
          p50Ms: percentile(sorted, 0.5),
          p99Ms: percentile(sorted, 0.99),
          deltasPerSecond: deltas / (measureMs / 1_000),
        };
      },
    },
  };
}

async function submit(base: string): Promise<string> {
  const response = await fetch(`${base}/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ agent: "talker", prompt: "Talk.", token_budget: 32_768, max_steps: 25 }),
  });
  return ((await response.json()) as { task_id: string }).task_id;
}

/** A plain socket: what reads thousands of streams must cost little itself. Resolves at the first bytes. */
function subscribe(base: string, taskId: string, onData: (text: string) => void): Promise<Socket> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    socket.setEncoding("utf8");
    socket.once("data", () => resolve(socket));
    socket.on("error", reject);
    socket.on("data", (chunk: string) => onData(chunk));
    socket.write(`GET /tasks/${taskId}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  });
}
