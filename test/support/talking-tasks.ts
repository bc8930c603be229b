/**
 * Tasks that talk for a while, for tests of streams between processes: some turns with a tool call each and one without,
 * every one a text in small pieces, after some reasoning.
 */
import { defineAgent, defineConfig, defineTool } from "../../src/index.ts";
import { createHoldfast, type Holdfast, type Role, type Tuning } from "../../src/holdfast.ts";
import type { ModelGateway } from "../../src/gateway/model-gateway.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { createHttpServer } from "../../src/server/http/server.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { scriptedGateway } from "../../src/testing/scripted-model.ts";

export const talkingTurns = 4;
const pieces = 40;
const pieceMs = 4;

/** What the turn of this number says: signs that take one, two, three and four bytes, and some that JSON must escape. */
export function saidIn(turn: number): string {
  return Array.from({ length: pieces }, (_, piece) => pieceOf(turn, piece)).join("");
}

function pieceOf(turn: number, piece: number): string {
  return `${turn}.${piece} "é€😀"\n`;
}

function talkingGateway(): ModelGateway {
  const model = scriptedGateway(({ messages }) => {
    const turn = messages.filter(({ role }) => role === "assistant").length + 1;
    const text = saidIn(turn);
    return turn === talkingTurns ? { text } : { text, calls: [{ name: "look", input: { turn } }] };
  });
  return {
    async call(request) {
      const reply = await model.call({ ...request, onDelta: () => {} });
      const turn = request.messages.filter(({ role }) => role === "assistant").length + 1;
      request.onDelta({ type: "reasoning", text: "Hm." });
      for (let piece = 0; piece < pieces; piece++) {
        request.onDelta({ type: "text", text: pieceOf(turn, piece) });
        await systemClock.sleep(pieceMs, request.signal);
      }
      return reply;
    },
  };
}

export interface Talking {
  readonly url: string;
  readonly roles: readonly Role[];
  readonly redis?: { readonly url: string; readonly prefix: string } | undefined;
  readonly tuning?: Partial<Tuning>;
}

export async function startTalking({ url, roles, redis, tuning }: Talking): Promise<{ holdfast: Holdfast }> {
  const look = defineTool({
    name: "look",
    version: "1.0.0",
    description: "Looks.",
    effect: "read",
    input: { type: "object" },
    run: () => "seen",
  });
  const limits = { tokens: 1_000_000, maxSteps: talkingTurns + 1 };
  const agent = defineAgent({ name: "talker", instructions: "Talk.", tools: ["look"], limits });
  const settings = readSettings({
    DATABASE_URL: url,
    ...(redis !== undefined && { REDIS_URL: redis.url, REDIS_PREFIX: redis.prefix }),
  });
  const holdfast = await createHoldfast(defineConfig({ agents: [agent], tools: [look] }), {
    settings,
    roles,
    parts: { gateway: talkingGateway(), log: silentLogger },
    ...(tuning !== undefined && { tuning }),
  });
  return { holdfast };
}

export interface TalkingApi {
  readonly holdfast: Holdfast;
  readonly base: string;
  close(): Promise<void>;
}

/** A process's worth of API over HTTP, which runs nothing itself. */
export async function startTalkingApi(talking: Omit<Talking, "roles">): Promise<TalkingApi> {
  const { holdfast } = await startTalking({ ...talking, roles: ["api"] });
  // A reader that leaves may leave a connection on which nothing was ever asked.
  const server = createHttpServer(holdfast, { drainMs: 200 });
  const base = await server.listen({ host: "127.0.0.1", port: 0 });
  return {
    holdfast,
    base,
    close: async () => {
      await server.close();
      await holdfast.stop();
    },
  };
}
