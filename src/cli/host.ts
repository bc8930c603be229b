/**
 * A Holdfast with its HTTP server in this process: what `dev`, `serve` and, where no server runs, `run` are made of. It is
 * loaded only when it is needed: the verbs that talk to a server start several times as fast without it.
 */
import type { HoldfastConfig } from "../config.ts";
import { createProviders } from "../gateway/providers/registry.ts";
import { createHoldfast, type Holdfast, type Role } from "../holdfast.ts";
import { HoldfastError, messageOf } from "../platform/errors.ts";
import type { Settings } from "../platform/settings.ts";
import { createHttpServer, type HttpServerOptions } from "../server/http/server.ts";

export interface HostOptions {
  readonly settings: Settings;
  readonly roles: readonly Role[];
  readonly hostedAgents?: readonly string[];
  readonly onProgress?: (message: string) => void;
  /** Whether a process without the API listens, too, so that its health and its metrics can be asked for. */
  readonly showsHealth?: boolean;
}

export interface Host {
  readonly holdfast: Holdfast;
  /** Null in a process that listens on nothing. */
  readonly url: string | null;
  /** Takes no more requests, lets what runs reach a boundary, closes the store. */
  stop(): Promise<void>;
}

/** @throws HoldfastError `port_in_use`, `port_unusable`, and what createHoldfast throws */
export async function startHost(config: HoldfastConfig, options: HostOptions): Promise<Host> {
  const { settings, roles } = options;
  const holdfast = await createHoldfast(config, options);
  const routes = routesOf(roles);
  if (routes === "service" && options.showsHealth !== true) return { holdfast, url: null, stop: () => holdfast.stop() };
  const server = createHttpServer(holdfast, { routes });
  const stop = async (): Promise<void> => {
    if (routes !== "service") await server.close();
    await holdfast.stop();
    // A worker is to be seen while it drains.
    if (routes === "service") await server.close();
  };
  try {
    const url = await server.listen({ host: settings.host, port: settings.port });
    return { holdfast, url, stop };
  } catch (error) {
    await stop();
    throw listenError(error, settings);
  }
}

function routesOf(roles: readonly Role[]): NonNullable<HttpServerOptions["routes"]> {
  if (roles.includes("api")) return roles.includes("gateway") ? "all" : "api";
  return roles.includes("gateway") ? "gateway" : "service";
}

/** Why calls to a model will fail in this process, if that is plain already; undefined if it is not. */
export function problemOf(model: string, { providers }: Settings): string | undefined {
  try {
    createProviders(providers).model(model);
    return undefined;
  } catch (error) {
    if (error instanceof HoldfastError) return error.message;
    throw error;
  }
}

function listenError(error: unknown, { host, port }: Settings): unknown {
  const cause = error instanceof HoldfastError ? error.cause : error;
  const { code } = Object(cause) as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") {
    const advice = "Stop the process that holds it, or take another with --port (0: any that is free).";
    return new HoldfastError("port_in_use", `Port ${port} on ${host} is in use. ${advice}`, { cause: error });
  }
  if (code === undefined) return error;
  const message = `Cannot listen on ${host}, port ${port}: ${messageOf(cause)}. Take others with --host and --port.`;
  return new HoldfastError("port_unusable", message, { cause: error });
}
