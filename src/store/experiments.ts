/** Experiments with model calls, for every process: what is ordered, and what came of drills. */
import type { Database } from "./database.ts";
import {
  addDrillResultsStatement,
  drillResultsStatement,
  endExperimentStatement,
  experimentsStatement,
  orderExperimentStatement,
  type DrillResultRow,
  type Experiment,
  type ExperimentKind,
} from "./queries/experiments.ts";

export function createExperimentStore(database: Database) {
  return {
    /** Takes the place of one of the same kind. */
    orderExperiment: async (experiment: Experiment): Promise<void> => {
      await database.query(orderExperimentStatement(experiment));
    },
    endExperiment: async (kind: ExperimentKind): Promise<void> => {
      await database.query(endExperimentStatement(kind));
    },
    experiments: () => database.query<Experiment>(experimentsStatement()),
    addDrillResults: async (rows: readonly DrillResultRow[]): Promise<void> => {
      if (rows.length > 0) await database.query(addDrillResultsStatement(rows));
    },
    drillResults: (since: { hours: number; limit: number }) =>
      database.query<DrillResultRow>(drillResultsStatement(since)),
  };
}
