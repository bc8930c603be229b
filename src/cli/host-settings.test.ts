import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { problemOf } from "./host.ts";
import { describeDatabase, hostSettings, parsePort } from "./host-settings.ts";

describe("The settings of a host", () => {
  test("are the environment's, with the flags on top", () => {
    const environment = { PORT: "5000", HOST: "::1", HOLDFAST_DATA: "/data" };
    const { port, host, dataDir } = hostSettings(environment, { port: 0, data: "/other" }, "text");
    assert.deepEqual({ port, host, dataDir }, { port: 0, host: "::1", dataDir: "/other" });
  });

  test("log in the format of the verb unless the environment names one, itself or in a file", (t) => {
    assert.equal(hostSettings({}, {}, "text").logFormat, "text");
    assert.equal(hostSettings({ HOLDFAST_LOG_FORMAT: "" }, {}, "text").logFormat, "text");
    assert.equal(hostSettings({ HOLDFAST_LOG_FORMAT: "json" }, {}, "text").logFormat, "json");
    const path = join(mkdtempSync(join(tmpdir(), "holdfast-settings-")), "format");
    t.after(() => rmSync(dirname(path), { recursive: true }));
    writeFileSync(path, "json\n");
    assert.equal(hostSettings({ HOLDFAST_LOG_FORMAT_FILE: path }, {}, "text").logFormat, "json");
  });

  test("take one database: a folder beside a server is refused", () => {
    assert.throws(() => hostSettings({ DATABASE_URL: "postgres://db/x" }, { data: "/d" }, "text"), {
      code: "invalid_usage",
    });
  });

  test("name the database without its password", () => {
    const told = (DATABASE_URL: string): string => describeDatabase(hostSettings({ DATABASE_URL }, {}, "text"));
    assert.equal(told("postgres://me:s3cret@db.example:5433/agents"), "PostgreSQL at db.example:5433/agents");
    assert.equal(told("postgres://me@%2Fvar%2Frun%2Fpostgresql/agents"), "PostgreSQL at /var/run/postgresql/agents");
    assert.equal(told("postgres:///agents?host=/run"), "PostgreSQL at /run/agents");
    assert.equal(describeDatabase(hostSettings({ HOLDFAST_DATA: "/d" }, {}, "text")), "embedded, in /d");
  });

  test("a port is a number that ports have", () => {
    assert.deepEqual(["0", "65535"].map(parsePort), [0, 65_535]);
    for (const text of ["65536", "-1", "4.5", "", "http"]) assert.throws(() => parsePort(text), /0 to 65535/, text);
  });

  test("a model without its key is known before it is called", () => {
    const settings = hostSettings({}, {}, "text");
    assert.match(problemOf("openai/gpt-5", settings) ?? "", /OPENAI_API_KEY/);
    assert.equal(problemOf("rules/default", settings), undefined);
  });
});
