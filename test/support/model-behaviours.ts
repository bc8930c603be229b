/** Models that do as they are told in the process, on a virtual clock, and a call along a route of them. */
import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4StreamPart,
} from "@ai-sdk/provider";
import type { Delta } from "../../src/agent/conversation.ts";
import { plainRoute } from "../../src/agent/route.ts";
import { createModelGateway, type ModelGatewayDeps, type ModelProviders } from "../../src/gateway/gateway.ts";
import type { ModelCallError, ModelReply, ModelRequest } from "../../src/gateway/model-gateway.ts";
import { HoldfastError } from "../../src/platform/errors.ts";
import { createVirtualClock, type VirtualClock } from "../../src/testing/virtual-clock.ts";
import { someRequest } from "./model-caller.ts";

export type ModelParts = AsyncIterable<LanguageModelV4StreamPart> | Iterable<LanguageModelV4StreamPart>;
/** What one attempt does: gives parts, or throws. */
export type Behaviour = (
  signal: AbortSignal,
  clock: VirtualClock,
  options?: LanguageModelV4CallOptions,
) => ModelParts | Promise<ModelParts>;

export const finish: LanguageModelV4StreamPart = {
  type: "finish",
  finishReason: { unified: "stop", raw: "stop" },
  usage: {
    inputTokens: { total: 20, noCache: 20, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 11, text: 11, reasoning: 0 },
  },
};
export const text = (delta: string): LanguageModelV4StreamPart => ({ type: "text-delta", id: "0", delta });
export const says =
  (...deltas: string[]): Behaviour =>
  () => [...deltas.map(text), finish];
export const breaks =
  (...deltas: string[]): Behaviour =>
  () =>
    deltas.map(text);
export const silent: Behaviour = () => new Promise<ModelParts>(() => {});

export function fails(status: number, headers: Record<string, string> = {}, message = `HTTP ${status}`): Behaviour {
  return () => {
    throw new APICallError({
      message,
      url: "http://provider.test",
      requestBodyValues: {},
      statusCode: status,
      responseHeaders: headers,
    });
  };
}

/** Begins after a time; an abort is heard meanwhile, as by a provider's package. */
export function after(ms: number, behaviour: Behaviour): Behaviour {
  return async (signal, clock, options) => {
    await clock.sleep(ms, signal);
    return behaviour(signal, clock, options);
  };
}

/** Models whose attempts behave one after the other as listed; the last behaviour stays. */
function providersOf(
  behaviours: Behaviours,
  clock: VirtualClock,
): { providers: ModelProviders; asked: Asked[]; calls: string[] } {
  const asked: Asked[] = [];
  const calls: string[] = [];
  const model = (name: string, key = 0): LanguageModelV4 => {
    const known = behaviours[name];
    if (!known) throw new HoldfastError("model_key_missing", `set the key of ${name}`);
    return {
      specificationVersion: "v4",
      provider: "test",
      modelId: name,
      supportedUrls: {},
      doStream: async (options: LanguageModelV4CallOptions & { abortSignal: AbortSignal }) => {
        calls.push(name);
        asked.push({ model: name, key, at: clock.monotonic(), options });
        const behaviour = known.length > 1 ? known.shift() : known[0];
        const stream = ReadableStream.from(await behaviour!(options.abortSignal, clock, options));
        return { stream, response: { headers: { "x-model": name } } };
      },
    } as unknown as LanguageModelV4;
  };
  return { providers: { model }, asked, calls };
}

type Behaviours = Readonly<Record<string, Behaviour[]>>;

/** A request as a model saw it. */
export interface Asked {
  readonly model: string;
  readonly key: number;
  readonly at: number;
  readonly options: LanguageModelV4CallOptions;
}

export interface GatewayRun {
  readonly clock: VirtualClock;
  readonly deltas: Delta[];
  /** The names of the models that were asked. */
  readonly calls: string[];
  readonly stop: AbortController;
  readonly reply: Promise<ModelReply>;
  /** What it threw, as a value. */
  readonly error: Promise<ModelCallError | null>;
}

type Options = Partial<Omit<ModelGatewayDeps, "clock"> & ModelRequest> & { readonly clock?: VirtualClock };

export interface OpenedGateway {
  readonly gateway: ReturnType<typeof createModelGateway>;
  readonly clock: VirtualClock;
  readonly asked: Asked[];
  call(options?: Partial<ModelRequest>): GatewayRun;
}

/** A gateway for many calls. The route is the models in their order. */
export function openGateway(behaviours: Behaviours, options: Options = {}): OpenedGateway {
  const { clock = createVirtualClock() } = options;
  const { providers, asked, calls } = providersOf(behaviours, clock);
  const gateway = createModelGateway({ providers, random: () => 0.5, ...options, clock });
  const call = (request: Partial<ModelRequest> = {}): GatewayRun => {
    const stop = new AbortController();
    const deltas: Delta[] = [];
    const reply = gateway.call({
      ...someRequest(options.route ?? plainRoute(Object.keys(behaviours))),
      signal: stop.signal,
      interruption: options.interruption,
      onDelta: (delta) => deltas.push(delta),
      ...request,
    });
    const error = reply.then(
      () => null,
      (thrown: ModelCallError) => thrown,
    );
    return { clock, deltas, calls, stop, reply, error };
  };
  return { gateway, clock, asked, call };
}

/** A gateway and one call. */
export function startCall(behaviours: Behaviours, options: Options = {}): GatewayRun {
  return openGateway(behaviours, options).call();
}

export const codes = ({ attempts }: Pick<ModelReply, "attempts">): string[] =>
  attempts.map(({ model, code }) => `${model} ${code}`);

export function verdict(error: ModelCallError | null): unknown {
  return error && { code: error.code, retry: error.retry, attempts: error.attempts.length };
}

/** Gives a token every `everyMs`, `count` times, then falls silent. */
export function drips(clock: () => VirtualClock, { everyMs, count }: { everyMs: number; count: number }): Behaviour {
  return async function* () {
    for (let given = 0; given < count; given++) {
      await clock().sleep(everyMs);
      yield text(".");
    }
    await new Promise(() => {});
  } as unknown as Behaviour;
}
