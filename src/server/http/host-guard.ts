/**
 * Nobody is asked who they are yet, so the service listens on this machine alone, and a web page that someone has open on
 * this machine must not reach it: neither under a name of its own that resolves to 127.0.0.1 (the Host header tells), nor
 * with a request across origins (the Origin header tells; no CORS header is ever sent).
 */
import { HoldfastError } from "../../platform/errors.ts";

export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, "");
  return name === "localhost" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/** @throws HoldfastError `insecure_bind` */
export function requireLoopback(host: string): void {
  if (isLoopback(host)) return;
  throw new HoldfastError(
    "insecure_bind",
    `Refusing to listen on ${host}: there is no authentication yet, so whoever reaches the port may do everything. ` +
      "Bind to 127.0.0.1, and put a reverse proxy that authenticates in front of it.",
  );
}

/** What a request says of where it goes and where it comes from. */
interface Named {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
}

/** @param allowed names by which a proxy in front may be addressed */
export function createHostGuard(allowed: readonly string[]) {
  const names = new Set(allowed.map((name) => name.toLowerCase()));
  const isAllowed = (url: string): boolean => {
    const name = URL.parse(url)?.hostname;
    return name !== undefined && (isLoopback(name) || names.has(name));
  };

  /** @throws HoldfastError `host_not_allowed`, `origin_not_allowed` */
  return ({ host, origin }: Named): void => {
    if (host !== undefined && !isAllowed(`http://${host}`)) {
      const rule = "Address the service as localhost, or name the host among those that are allowed";
      throw new HoldfastError(
        "host_not_allowed",
        `The host ${JSON.stringify(host.slice(0, 200))} is not served here. ${rule}.`,
      );
    }
    if (origin !== undefined && !isAllowed(origin)) {
      throw new HoldfastError(
        "origin_not_allowed",
        `Pages of ${JSON.stringify(origin.slice(0, 200))} may not use this service.`,
      );
    }
  };
}
