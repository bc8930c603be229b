/** The bodies of the gateway's endpoints, as far as a schema says what is right; the rest is said where they are read. */
import { z } from "zod";

const modelName = z.string().min(1).max(300);
const jsonObject = z.record(z.string(), z.unknown());
/** Text, or parts; which parts are taken is said when they are read, so that the answer names the one that is not. */
const content = z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).optional();
const toolName = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/);
const effort = z.enum(["none", "minimal", "low", "medium", "high", "xhigh"]);
const metadata = z.record(z.string().max(64), z.string().max(512));
const tokens = z.int().min(1).max(10_000_000);

/** Of no consequence for the answer: what is cached, kept or charged for, and how. */
const inconsequential = {
  store: z.boolean().optional(),
  service_tier: z.string().optional(),
  safety_identifier: z.string().optional(),
  prompt_cache_key: z.string().optional(),
  prompt_cache_retention: z.string().optional(),
};

const sampling = {
  temperature: z.number().min(0).max(2).optional(),
  top_p: z.number().min(0).max(1).optional(),
  parallel_tool_calls: z.boolean().optional(),
  user: z.string().min(1).max(200).optional(),
  metadata: metadata.optional(),
  stream: z.boolean().optional(),
};

const streamOptions = z.strictObject({
  include_usage: z.boolean().optional(),
  include_obfuscation: z.boolean().optional(),
  include_restarts: z
    .boolean()
    .optional()
    .describe("A stream that broke goes on with another attempt, after a chunk whose `restart` is true."),
});

const refused = z.unknown().optional().describe("Refused, unless it says what holds anyway.");

export const chatMessage = z.looseObject({
  role: z.enum(["system", "developer", "user", "assistant", "tool"]),
  content,
  name: z.string().max(200).optional(),
  reasoning_content: z.string().optional(),
  tool_call_id: z.string().min(1).max(100_000).optional(),
  tool_calls: z
    .array(
      z.looseObject({
        id: z.string().min(1).max(100_000),
        type: z.string(),
        function: z.looseObject({ name: z.string().min(1), arguments: z.string() }).optional(),
      }),
    )
    .optional(),
});

const chatTool = z.looseObject({
  type: z.string(),
  function: z
    .looseObject({
      name: toolName,
      description: z.string().optional(),
      parameters: jsonObject.optional(),
      strict: z.boolean().nullish(),
    })
    .optional(),
});

const toolChoice = z.union([z.enum(["none", "auto", "required"]), z.looseObject({ type: z.string() })]).optional();

const responseFormat = z.looseObject({
  type: z.enum(["text", "json_object", "json_schema"]),
  json_schema: z
    .looseObject({
      name: z.string().min(1).max(64),
      description: z.string().optional(),
      schema: jsonObject.optional(),
      strict: z.boolean().nullish(),
    })
    .optional(),
});

export const chatBody = z
  .strictObject({
    model: modelName,
    messages: z.array(chatMessage).min(1),
    tools: z.array(chatTool).max(512).optional(),
    tool_choice: toolChoice,
    max_tokens: tokens.optional(),
    max_completion_tokens: tokens.optional(),
    presence_penalty: z.number().min(-2).max(2).optional(),
    frequency_penalty: z.number().min(-2).max(2).optional(),
    seed: z.int().optional(),
    stop: z.union([z.string(), z.array(z.string().min(1)).max(4)]).optional(),
    response_format: responseFormat.optional(),
    reasoning_effort: effort.optional(),
    stream_options: streamOptions.optional(),
    prediction: z.unknown().optional(),
    n: refused,
    logprobs: refused,
    top_logprobs: refused,
    logit_bias: refused,
    modalities: refused,
    verbosity: refused,
    audio: refused,
    functions: refused,
    function_call: refused,
    web_search_options: refused,
    ...sampling,
    ...inconsequential,
  })
  .meta({ title: "ChatCompletionRequest" });

const responseItem = z.looseObject({ type: z.string().optional(), role: z.string().optional(), content });

const responseTool = z.looseObject({
  type: z.string(),
  name: toolName.optional(),
  description: z.string().nullish(),
  parameters: jsonObject.nullish(),
  strict: z.boolean().nullish(),
});

const textFormat = z.looseObject({
  type: z.enum(["text", "json_object", "json_schema"]),
  name: z.string().min(1).max(64).optional(),
  description: z.string().optional(),
  schema: jsonObject.optional(),
  strict: z.boolean().nullish(),
});

export const responseBody = z
  .strictObject({
    model: modelName,
    input: z.union([z.string().min(1), z.array(responseItem).min(1)]),
    instructions: z.string().optional(),
    tools: z.array(responseTool).max(512).optional(),
    tool_choice: toolChoice,
    max_output_tokens: tokens.optional(),
    text: z.strictObject({ format: textFormat.optional(), verbosity: z.enum(["medium"]).optional() }).optional(),
    reasoning: z
      .strictObject({
        effort: effort.optional(),
        summary: z.enum(["auto", "concise", "detailed"]).optional(),
        generate_summary: z.enum(["auto", "concise", "detailed"]).optional(),
      })
      .optional(),
    include: z.array(z.string()).optional(),
    previous_response_id: z.string().optional(),
    stream_options: streamOptions.optional(),
    background: refused,
    conversation: refused,
    prompt: refused,
    max_tool_calls: refused,
    top_logprobs: refused,
    truncation: refused,
    context_management: refused,
    ...sampling,
    ...inconsequential,
  })
  .meta({ title: "ResponseRequest" });

export const embeddingBody = z
  .strictObject({
    model: modelName,
    input: z.union([
      z.string().min(1),
      z
        .array(z.union([z.string().min(1), z.int(), z.array(z.int())]))
        .min(1)
        .max(2_048),
    ]),
    dimensions: z.int().min(1).max(100_000).optional(),
    encoding_format: z.enum(["float", "base64"]).optional(),
    user: z.string().min(1).max(200).optional(),
  })
  .meta({ title: "EmbeddingRequest" });

export type ChatBody = z.infer<typeof chatBody>;
export type ChatMessage = z.infer<typeof chatMessage>;
export type ResponseBody = z.infer<typeof responseBody>;
export type EmbeddingBody = z.infer<typeof embeddingBody>;
