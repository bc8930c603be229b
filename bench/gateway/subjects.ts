/** Who is asked in the gateway's bench: the provider itself, and gateways in front of it, each a process of its own. */
import { join } from "node:path";
import { peersFolder } from "../comparison/cell.ts";
import { installPeers, installedVersion } from "../comparison/install.ts";
import { answersOn, startServer } from "../comparison/other-servers.ts";
import { createServerDatabase } from "../../test/support/databases.ts";
import { freePort } from "../../test/support/free-port.ts";
import type { Turn } from "./client.ts";

export interface GatewaySubject extends Pick<Turn, "base" | "model" | "headers"> {
  readonly name: "direct" | "Holdfast" | "Portkey";
  /** Null: there is no process between the client and the provider. */
  readonly pid: number | null;
}

const source = join(import.meta.dirname, "../../src/cli/main.ts");
const config = join(import.meta.dirname, "holdfast.config.ts");

export function direct(provider: string): GatewaySubject {
  return { name: "direct", pid: null, base: provider, model: "bench", headers: {} };
}

/** As `holdfast serve --roles gateway` starts it, on a fresh database; undefined where there is no server for one. */
export async function startHoldfastGateway(
  provider: string,
  open: AsyncDisposableStack,
): Promise<GatewaySubject | undefined> {
  const database = await createServerDatabase();
  if (database === undefined) return undefined;
  open.defer(database.drop);
  const flags = ["serve", "--roles", "gateway", "--config", config];
  const gateway = await startGateway(open, {
    args: (port) => ["--conditions=holdfast-source", source, ...flags, "--port", String(port)],
    env: { DATABASE_URL: database.url, OPENAI_COMPATIBLE_BASE_URL: provider },
  });
  return { ...gateway, name: "Holdfast", model: "compatible/bench", headers: {} };
}

/** As its package's own command starts it, without its console. */
export async function startPortkey(provider: string, open: AsyncDisposableStack): Promise<GatewaySubject> {
  const start = join(peersFolder, "node_modules/@portkey-ai/gateway/build/start-server.js");
  const gateway = await startGateway(open, { args: (port) => [start, `--port=${port}`, "--headless"], env: {} });
  const headers = { "x-portkey-provider": "openai", "x-portkey-custom-host": provider, authorization: "Bearer none" };
  return { ...gateway, name: "Portkey", model: "bench", headers };
}

/** Its version, once its package is here. */
export async function portkeyVersion(): Promise<string> {
  installPeers();
  return `@portkey-ai/gateway ${await installedVersion("@portkey-ai/gateway")}`;
}

async function startGateway(
  open: AsyncDisposableStack,
  { args, env }: { args: (port: number) => string[]; env: Record<string, string> },
): Promise<{ base: string; pid: number }> {
  const port = await freePort();
  const server = await startServer({
    command: process.execPath,
    args: () => args(port),
    env: { ...env, NODE_ENV: "production" },
    address: port,
    isReady: () => answersOn(port),
  });
  open.defer(server.stop);
  return { base: `http://127.0.0.1:${port}/v1`, pid: server.pid };
}
