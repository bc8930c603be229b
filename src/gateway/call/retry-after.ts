/** When a provider says to come back: in headers, or, with Google, in the body of the error. */

/** @returns milliseconds from `now`, or null if the reply does not say */
export function retryAfterMs(
  reply: { headers: Record<string, string>; details: readonly unknown[] },
  now: number,
): number | null {
  const exact = Number.parseFloat(reply.headers["retry-after-ms"] ?? "");
  if (Number.isFinite(exact)) return Math.max(0, Math.ceil(exact));
  const header = reply.headers["retry-after"]?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(header)) return Math.ceil(Number(header) * 1000);
  const date = Date.parse(header);
  if (!Number.isNaN(date)) return Math.max(0, date - now);
  return retryInfoMs(reply.details);
}

/** Google: `{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}` among the details. */
function retryInfoMs(details: readonly unknown[]): number | null {
  for (const detail of details) {
    const delay = (detail as { retryDelay?: unknown } | null)?.retryDelay;
    const seconds = typeof delay === "string" ? /^(\d+(?:\.\d+)?)s$/.exec(delay)?.[1] : undefined;
    if (seconds !== undefined) return Math.ceil(Number(seconds) * 1000);
  }
  return null;
}
