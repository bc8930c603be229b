/** The one place where a promise may run on its own: it is awaited at the end, and what it throws is always heard. */

export interface Background {
  /** Runs `job` without waiting for it. */
  start(name: string, job: () => Promise<void>): void;
  /** Resolves when all that was started is done. */
  settled(): Promise<void>;
}

export function createBackground(onError: (name: string, error: unknown) => void): Background {
  const jobs = new Set<Promise<void>>();
  return {
    start(name, job) {
      const running = Promise.resolve()
        .then(job)
        .catch((error: unknown) => onError(name, error))
        .finally(() => jobs.delete(running));
      jobs.add(running);
    },
    async settled() {
      while (jobs.size > 0) await Promise.all(jobs);
    },
  };
}
