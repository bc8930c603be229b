/** The gateway's endpoints in front of a mock provider, in the process of a test. */
import OpenAI from "openai";
import type { HoldfastConfig } from "../../src/config.ts";
import { defineAgent } from "../../src/index.ts";
import { createHoldfast, type Holdfast, type HoldfastOptions } from "../../src/holdfast.ts";
import { readSettings } from "../../src/platform/settings.ts";
import { createHttpServer, type HttpServerOptions } from "../../src/server/http/server.ts";
import type { Database } from "../../src/store/database.ts";
import { openPglite } from "../../src/store/pglite.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { startMockProvider, type MockProvider, type MockScript } from "../../src/testing/mock-provider.ts";
import { migratedSnapshot } from "./databases.ts";

export interface GatewayService extends AsyncDisposable {
  readonly url: string;
  /** As OpenAI's clients are given it. */
  readonly baseURL: string;
  readonly provider: MockProvider;
  readonly holdfast: Holdfast;
  /** The official client; it does not try again by itself. */
  readonly openai: OpenAI;
  clientWith(apiKey: string): OpenAI;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>;
}

export interface GatewayOptions {
  readonly script: MockScript;
  readonly config?: Partial<HoldfastConfig>;
  readonly http?: HttpServerOptions;
  readonly holdfast?: HoldfastOptions;
  readonly database?: Database;
}

const helper = defineAgent({ name: "helper", instructions: "Be of use.", model: "compatible/llama" });

export async function startGateway({ script, config, http = {}, ...options }: GatewayOptions): Promise<GatewayService> {
  const provider = await startMockProvider({ script });
  const environment = {
    OPENAI_API_KEY: "test",
    OPENAI_BASE_URL: `${provider.url}/v1`,
    ANTHROPIC_API_KEY: "test",
    ANTHROPIC_BASE_URL: `${provider.url}/v1`,
    GOOGLE_GENERATIVE_AI_API_KEY: "test",
    GOOGLE_GENERATIVE_AI_BASE_URL: `${provider.url}/v1`,
    OPENAI_COMPATIBLE_BASE_URL: `${provider.url}/v1`,
  };
  const database = options.database ?? (await openPglite({ dataDir: "memory", snapshot: await migratedSnapshot() }));
  const holdfast = await createHoldfast(
    { agents: [helper], ...config },
    {
      settings: readSettings(environment),
      tuning: { pollMs: 50 },
      ...options.holdfast,
      parts: { database, log: silentLogger, random: () => 0, ...options.holdfast?.parts },
    },
  );
  const server = createHttpServer(holdfast, http);
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const baseURL = `${url}/v1`;
  const clientWith = (apiKey: string): OpenAI => new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  return {
    url,
    baseURL,
    provider,
    holdfast,
    openai: clientWith("unused"),
    clientWith,
    post: (path, body, headers = {}) =>
      fetch(`${url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await holdfast.stop();
      await provider.close();
    },
  };
}
