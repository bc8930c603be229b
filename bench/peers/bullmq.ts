/**
 * BullMQ: a job, whose data gets each model turn and each result of a tool as it comes. The queue itself makes no step
 * durable: this is how one does it with what it has.
 */
import { Queue, QueueEvents, Worker } from "bullmq";
import { runSubject } from "../comparison/subject.ts";
import { answer, prompt, runTurns, stepsPerTask } from "../work.ts";

interface JobData {
  readonly prompt: string;
  readonly steps: readonly unknown[];
}

await runSubject({
  start: async ({ redisPort }) => {
    const connection = { host: "127.0.0.1", port: redisPort, maxRetriesPerRequest: null };
    const queue = new Queue<JobData, string>("bench", { connection });
    const inspection = new Queue<JobData>("bench", { connection });
    const events = new QueueEvents("bench", { connection });
    const worker = new Worker<JobData, string>(
      "bench",
      async (job) =>
        runTurns(async (_name, perform) => {
          const step = await perform();
          await job.updateData({ ...job.data, steps: [...job.data.steps, step] });
          return step;
        }),
      { connection, concurrency: 128 },
    );
    await Promise.all([events.waitUntilReady(), worker.waitUntilReady(), inspection.waitUntilReady()]);
    return {
      runTask: async () => {
        const job = await queue.add("agent", { prompt, steps: [] });
        if ((await job.waitUntilFinished(events)) !== answer)
          throw new Error("The task ended otherwise than it should.");
      },
      durableSteps: async () => {
        const jobs = await inspection.getJobs(["active", "completed"], 0, stepsPerTask);
        return jobs.reduce((sum, { data }) => sum + 1 + data.steps.length, 0);
      },
      stop: async () => {
        await worker.close();
        await Promise.all([events.close(), queue.close(), inspection.close()]);
      },
    };
  },
});
