/** Times and money in the terms of the API. */

export function time(ms: number): string {
  return new Date(ms).toISOString();
}

export function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : time(ms);
}

export function dollars(micros: number): number;
export function dollars(micros: number | null): number | null;
export function dollars(micros: number | null): number | null {
  return micros === null ? null : micros / 1e6;
}
