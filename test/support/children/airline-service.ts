/** The airline's service as a process of its own: API and worker. Prints its URL when it is ready. */
import { createHoldfast } from "../../../src/holdfast.ts";
import { readSettings } from "../../../src/platform/settings.ts";
import { createHttpServer } from "../../../src/server/http/server.ts";
import { airlineConfig } from "../airline/airline-config.ts";
import { readAgent } from "../airline/recordings.ts";
import type { ServiceOptions } from "../airline/service-processes.ts";

const { providerUrl, deskUrl, databaseUrl, dataDir, tuning } = JSON.parse(process.argv[2] ?? "") as ServiceOptions;
const settings = readSettings({
  OPENAI_COMPATIBLE_BASE_URL: `${providerUrl}/v1`,
  HOLDFAST_DATA: dataDir,
  DATABASE_URL: databaseUrl ?? "",
  HOLDFAST_LOG_LEVEL: "warn",
  // As text it goes to stderr: the line on stdout is the URL.
  HOLDFAST_LOG_FORMAT: "text",
});
const holdfast = await createHoldfast(airlineConfig(readAgent(), deskUrl), { settings, tuning });
console.log(await createHttpServer(holdfast).listen({ host: "127.0.0.1", port: 0 }));
