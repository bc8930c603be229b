/** How many tokens a request has, from the length of what it says: before it is sent nobody knows better. */
import type { Message } from "../../agent/conversation.ts";
import type { ModelRequest } from "../model-gateway.ts";

const charsPerToken = 4;

export function requestTokens({
  system,
  messages,
  tools,
}: Pick<ModelRequest, "system" | "messages" | "tools">): number {
  const said = messages.reduce((sum, message) => sum + charsOf(message), 0);
  const offered = tools.length === 0 ? 0 : JSON.stringify(tools).length;
  return Math.ceil((system.length + said + offered) / charsPerToken);
}

function charsOf(message: Message): number {
  switch (message.role) {
    case "user":
      return message.text.length;
    case "assistant":
      return message.parts.reduce(
        (sum, part) => sum + (part.type === "call" ? JSON.stringify(part.input).length : part.text.length),
        0,
      );
    case "tool": {
      const { outcome } = message;
      if (!outcome.ok) return outcome.message.length;
      return typeof outcome.output === "string" ? outcome.output.length : JSON.stringify(outcome.output).length;
    }
  }
}
