/**
 * Carries news of watched tasks between processes. Each says which tasks it watches that do not run in it, and is told,
 * under its own name, what becomes of those in the process that runs them. Whatever of it is lost is found in the store.
 */
import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Carrier, Message } from "./carrier.ts";
import type { Feeds, Interest } from "./feeds.ts";
import type { Hub } from "./hub.ts";
import { InterestTable } from "./interest.ts";
import { NewsTeller } from "./news-teller.ts";
import { createSender } from "./sender.ts";
import type { TaskFeed } from "./task-feed.ts";
import { packWatches, unpackTold, unpackWatches, watchName, type Told } from "./watch-messages.ts";

export interface CourierDeps {
  readonly hub: Hub;
  readonly feeds: Feeds;
  readonly carrier: Carrier;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "deltaDropped">;
  /** Names this process. */
  readonly process: string;
  readonly runsHere: (taskId: string) => boolean;
}

/** Tasks that have left this process since are noticed so often. */
const lookEveryMs = 1_000;
/** What is watched is said again after so many looks. */
const looksPerRepeat = 10;

/** @returns a function that stops it */
export async function carryNews(deps: CourierDeps): Promise<() => Promise<void>> {
  const { feeds, carrier, clock, log, process, runsHere } = deps;
  const interest = new InterestTable(clock);
  const said = new SaidInterest(process);
  const take = () => [...said.takeMessages(), ...teller.takeMessages()];
  const sender = createSender({ carrier, log, what: "news", take });
  const wake = (): void => sender.wake();
  const teller = new NewsTeller({ ...deps, interest, wake, onDropped: () => deps.metrics.deltaDropped() });

  const say = (feed: TaskFeed): void => {
    if (!runsHere(feed.taskId) && said.watch(feed)) wake();
  };
  const stopWatchingFeeds = feeds.listen({ opened: say, closed: (feed) => said.leave(feed) && wake() });
  let looks = 0;
  const look = (): void => {
    looks += 1;
    if (looks % looksPerRepeat === 0) {
      said.repeat();
      interest.prune();
    }
    for (const feed of feeds.all()) if (!said.has(feed)) say(feed);
    if (said.hasMessages) wake();
    cancelLook = clock.timer(lookEveryMs, look);
  };
  let cancelLook = clock.timer(lookEveryMs, look);

  const stopListening = await listen({ carrier, feeds, interest, said, teller, process, wake });
  said.greet();
  wake();
  return async () => {
    stopWatchingFeeds();
    cancelLook();
    await stopListening();
    teller.stop();
    await sender.settled();
  };
}

interface Hearing extends Pick<CourierDeps, "carrier" | "feeds" | "process"> {
  readonly interest: InterestTable;
  readonly said: SaidInterest;
  readonly teller: NewsTeller;
  readonly wake: () => void;
}

/** Hears what is told to this process, and who watches what. */
async function listen(hearing: Hearing): Promise<() => Promise<void>> {
  const { carrier, feeds, process, interest, said, teller, wake } = hearing;
  const stopNews = await carrier.listen((payload) => {
    for (const told of unpackTold(payload)) hear(feeds, told);
  }, process);
  const stopWatches = await carrier.listen((payload) => {
    const message = unpackWatches(payload, process);
    if (message === undefined) return;
    const { process: other, watch = {}, leave = [] } = message;
    for (const [taskId, what] of Object.entries(watch)) {
      if (interest.add({ process: other, taskId, interest: what })) teller.watched(taskId, what);
    }
    for (const taskId of leave) interest.remove({ process: other, taskId });
    if (message.hello === true) said.repeat();
    if (said.hasMessages) wake();
  }, watchName);
  return async () => {
    await stopNews();
    await stopWatches();
  };
}

/** What another process says of a task. */
function hear(feeds: Feeds, told: Told): void {
  const feed = feeds.get(told.taskId);
  if (feed === undefined) return;
  feed.isFresh = true;
  if (told.type === "piece") feed.addPiece(told.piece);
  else if (told.type === "changed" || told.seq > feed.lastSeq) feeds.stale(feed);
}

/** What the others have been told that this process watches, and what they are to be told. */
class SaidInterest {
  readonly #process: string;
  readonly #said = new Map<string, Interest>();
  #watch = new Map<string, Interest>();
  #leave = new Set<string>();
  #greets = false;

  constructor(process: string) {
    this.#process = process;
  }

  has({ taskId }: TaskFeed): boolean {
    return this.#said.has(taskId);
  }

  get hasMessages(): boolean {
    return this.#greets || this.#watch.size > 0 || this.#leave.size > 0;
  }

  /** @returns whether there is something to say */
  watch({ taskId, readers }: TaskFeed): boolean {
    const interest = readers > 0 ? "events" : "end";
    if (this.#said.get(taskId) === interest) return false;
    this.#said.set(taskId, interest);
    this.#watch.set(taskId, interest);
    this.#leave.delete(taskId);
    return true;
  }

  /** @returns whether there is something to say */
  leave({ taskId, ended }: TaskFeed): boolean {
    if (!this.#said.delete(taskId)) return false;
    this.#watch.delete(taskId);
    // Who told of the end knows that there is nothing more to tell.
    if (ended !== undefined) return false;
    this.#leave.add(taskId);
    return true;
  }

  /** Says everything again, for those who have not heard it. */
  repeat(): void {
    this.#watch = new Map(this.#said);
  }

  greet(): void {
    this.#greets = true;
  }

  takeMessages(): Message[] {
    const payloads = packWatches(this.#process, { watch: this.#watch, leave: [...this.#leave] });
    if (this.#greets) payloads.push(JSON.stringify({ process: this.#process, hello: true }));
    this.#watch = new Map();
    this.#leave = new Set();
    this.#greets = false;
    return payloads.map((payload) => ({ to: watchName, payload }));
  }
}
