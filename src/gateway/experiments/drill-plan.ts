/** When the configuration wants a drill: always, or in windows that come back every week. */
import { InvalidInputError } from "../../platform/errors.ts";

/** What `gateway.drill` takes. */
export interface DrillOptions {
  /** Of the calls that have a fallback; default 0.1. */
  readonly share?: number;
  /** When, in UTC; absent: always. */
  readonly windows?: readonly DrillWindow[];
}

export interface DrillWindow {
  readonly day: (typeof days)[number];
  /** "HH:MM"; `to` is no longer in it. */
  readonly from: string;
  readonly to: string;
}

export interface DrillPlan {
  readonly share: number;
  /** In minutes from the beginning of the week; null: always. */
  readonly windows: readonly { readonly from: number; readonly to: number }[] | null;
}

const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const dayMinutes = 1_440;
const weekMinutes = 7 * dayMinutes;
const defaultShare = 0.1;
/** The first of January 1970 was a Thursday. */
const mondayBeforeEpochMinutes = 3 * dayMinutes;

/** @throws InvalidInputError `invalid_config` with the path of what is wrong */
export function planDrill({ share = defaultShare, windows }: DrillOptions): DrillPlan {
  if (!(share > 0 && share <= 1)) throw invalid("/gateway/drill/share", share, "must be above 0 and at most 1");
  return {
    share,
    windows: windows?.map((window, index) => planWindow(window, `/gateway/drill/windows/${index}`)) ?? null,
  };
}

function planWindow({ day, from, to }: DrillWindow, path: string): { from: number; to: number } {
  const index = days.indexOf(day);
  if (index < 0) throw invalid(`${path}/day`, day, `must be one of ${days.join(", ")}`);
  const start = index * dayMinutes;
  const window = { from: start + minutesOf(from, `${path}/from`), to: start + minutesOf(to, `${path}/to`) };
  if (window.from < window.to) return window;
  throw invalid(`${path}/to`, to, "must be later than `from`; a window that goes over midnight is two");
}

function minutesOf(time: string, path: string): number {
  const [, hours, minutes] = /^(\d{2}):(\d{2})$/.exec(time) ?? [];
  const total = Number(hours) * 60 + Number(minutes);
  if (total <= dayMinutes && Number(minutes) < 60) return total;
  throw invalid(path, time, 'must be a time of day like "09:30", up to "24:00"');
}

/** @param now milliseconds since the epoch */
export function isOpen({ windows }: DrillPlan, now: number): boolean {
  if (windows === null) return true;
  const minute = (Math.floor(now / 60_000) + mondayBeforeEpochMinutes) % weekMinutes;
  return windows.some(({ from, to }) => from <= minute && minute < to);
}

function invalid(path: string, value: unknown, rule: string): InvalidInputError {
  return new InvalidInputError("invalid_config", `${path} is ${JSON.stringify(value)}, but ${rule}.`, path);
}
