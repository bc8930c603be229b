/** Mastra: a workflow of a step per model turn and per tool call, whose snapshot is saved after each. */
import { Mastra } from "@mastra/core";
import { createStep, createWorkflow } from "@mastra/core/workflows";
import { z } from "zod";
import { runSubject } from "../comparison/subject.ts";
import { answer, callModel, callTool, prompt, stepsPerTask } from "../work.ts";
import { countSteps, openStore, prepareStore } from "./mastra-store.ts";

const anything = z.any();

const modelStep = (turn: number) =>
  createStep({
    id: `model-${turn}`,
    inputSchema: anything,
    outputSchema: anything,
    execute: () => callModel(turn),
  });

const toolStep = (turn: number) =>
  createStep({
    id: `tool-${turn}`,
    inputSchema: anything,
    outputSchema: anything,
    execute: async ({ inputData }) => callTool(inputData.call.input),
  });

const steps = Array.from({ length: stepsPerTask - 1 }, (_, index) =>
  index % 2 === 0 ? modelStep(index / 2) : toolStep((index - 1) / 2),
);

await runSubject({
  prepare: prepareStore,
  start: async ({ databaseUrl }) => {
    const storage = openStore(databaseUrl);
    const agent = createWorkflow({ id: "agent", inputSchema: anything, outputSchema: anything });
    for (const step of steps) agent.then(step);
    agent.commit();
    const mastra = new Mastra({ storage, workflows: { agent }, logger: false });
    return {
      runTask: async () => {
        const run = await mastra.getWorkflow("agent").createRun();
        const end = await run.start({ inputData: { prompt } });
        if (end.status !== "success" || end.result.text !== answer) throw new Error(`The task ended: ${end.status}.`);
      },
      durableSteps: () => countSteps(databaseUrl),
      stop: () => storage.close(),
    };
  },
});
