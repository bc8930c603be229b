/**
 * The provider of the gateway's bench: it answers every call at once with the same completion, plain or in pieces, each
 * piece in a turn of the event loop of its own, as tokens come one after another.
 */
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pieces } from "./work.ts";

const head = { id: "chatcmpl-bench", created: 1_700_000_000, model: "bench" };
const usage = { prompt_tokens: 120, completion_tokens: pieces.length, total_tokens: 120 + pieces.length };

const completion = JSON.stringify({
  ...head,
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: pieces.join("") }, finish_reason: "stop" }],
  usage,
});

const chunk = (delta: object, finish: string | null): string => {
  const choices = [{ index: 0, delta, finish_reason: finish }];
  return `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices })}\n\n`;
};
const chunks = [
  ...pieces.map((content, index) => chunk(index === 0 ? { role: "assistant", content } : { content }, null)),
  chunk({}, "stop"),
  `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices: [], usage })}\n\ndata: [DONE]\n\n`,
];

const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (text: string) => (body += text));
  request.on("end", () => (body.includes('"stream":true') ? answerInPieces(response) : answerWhole(response)));
});
// A gateway keeps its connections; one that is closed under it would cost it a retry.
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1");
await once(server, "listening");
console.log(JSON.stringify({ base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }));

function answerWhole(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(completion) });
  response.end(completion);
}

function answerInPieces(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  let next = 0;
  const say = (): void => {
    response.write(chunks[next++]);
    if (next === chunks.length) response.end();
    else setImmediate(say);
  };
  say();
}
