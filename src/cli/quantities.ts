/** Durations, money and numbers as a person reads them. */

/** Of milliseconds: "340 ms", "4.2 s", "3 m 05 s", "2 h 10 m", "5 d 3 h". */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const minutes = Math.round(seconds) / 60;
  if (minutes < 60) return `${Math.floor(minutes)} m ${twoDigits(Math.round(seconds) % 60)} s`;
  const hours = minutes / 60;
  if (hours < 24) return `${Math.floor(hours)} h ${twoDigits(Math.floor(minutes) % 60)} m`;
  return `${Math.floor(hours / 24)} d ${Math.floor(hours) % 24} h`;
}

/** Of milliseconds; null: nothing was measured. */
export function measured(ms: number | null): string {
  return ms === null ? "-" : duration(ms);
}

/** How long ago, in its largest unit: "just now", "12 s ago", "3 d ago". */
export function ago(ms: number): string {
  const units: [string, number][] = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
  ];
  const unit = units.find(([, size]) => ms >= size);
  return unit === undefined ? "just now" : `${Math.floor(ms / unit[1])} ${unit[0]} ago`;
}

/** Null: a price was unknown. */
export function money(usd: number | null): string {
  if (usd === null) return "cost unknown";
  if (usd === 0) return "$0";
  if (usd < 0.0001) return "under $0.0001";
  return `$${usd < 1 ? usd.toFixed(4) : usd.toFixed(2)}`;
}

/** Rounded down: what is not all is not shown as 100 %. Null: there was nothing to have a share of. */
export function percent(share: number | null): string {
  return share === null ? "-" : `${Math.floor(share * 1_000 + 1e-9) / 10} %`;
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

export function bytes(number: number): string {
  if (number < 1000) return `${number} bytes`;
  return number < 1_000_000 ? `${(number / 1000).toFixed(1)} kB` : `${(number / 1_000_000).toFixed(1)} MB`;
}

/** As far back as the settings allow to keep what has ended. */
const mostDays = 36_500;

/** Days, from "30d", "12h" or "90m"; undefined for anything else. */
export function parseDays(text: string): number | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([dhm])$/.exec(text) ?? [];
  if (number === undefined) return undefined;
  const perDay = { d: 1, h: 24, m: 1_440 }[unit as "d" | "h" | "m"];
  const days = Number(number) / perDay;
  return days <= mostDays ? days : undefined;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
