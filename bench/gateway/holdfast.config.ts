/** A service that only calls models still has a configuration, and a configuration an agent. */
import { defineAgent, defineConfig } from "../../src/index.ts";

export default defineConfig({ agents: [defineAgent({ name: "unused", instructions: "Nobody asks you." })] });
