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

/** @throws HoldfastError `host_not_allowed`, `origin_not_allowed` */
export function guardHost({ host, origin }: Named): void {
  if (host !== undefined && !isThisMachine(`http://${host}`)) {
    throw new HoldfastError(
      "host_not_allowed",
      `The host ${JSON.stringify(host.slice(0, 200))} is not served here. Address the service as localhost.`,
    );
  }
  if (origin !== undefined && !isThisMachine(origin)) {
    throw new HoldfastError(
      "origin_not_allowed",
      `Pages of ${JSON.stringify(origin.slice(0, 200))} may not use this service.`,
    );
  }
}

function isThisMachine(url: string): boolean {
  const name = URL.parse(url)?.hostname;
  return name !== undefined && isLoopback(name);
}
