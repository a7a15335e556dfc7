// From a conversation to the request that continues it.

import { t } from "./text.js";

/** What the first conversation begins with. Numbers are texts: the empty one is unset. */
export const DEFAULTS = {
  model: "",
  thinking: "auto",
  system: "",
  temperature: "",
  top_p: "",
  top_k: "",
  max_tokens: "",
  seed: "",
  format: "text",
  schema: "",
  tools: "",
  choice: "auto",
};

/** The numbers among the settings; `whole` ones have no upper bound. */
export const NUMBERS = {
  temperature: { min: 0, max: 2 },
  top_p: { min: 0, max: 1 },
  top_k: { min: 0, whole: true },
  max_tokens: { min: 1, whole: true },
  seed: { min: 0, whole: true },
};

/** A setting that cannot be sent as it is, and why, in words for the user. */
export class Unfit extends Error {
  constructor(setting, message) {
    super(message);
    this.setting = setting;
  }
}

/** The number that `settings[name]` says, `undefined` for none; throws `Unfit`. */
export function numberOf(settings, name) {
  const text = settings[name].trim();
  if (!text) return undefined;
  const { min, max, whole } = NUMBERS[name];
  const value = Number(text);
  if (whole) {
    if (Number.isSafeInteger(value) && value >= min) return value;
    throw new Unfit(name, t("notWhole", { min }));
  }
  if (value >= min && value <= max) return value;
  throw new Unfit(name, t("notNumber", { min, max }));
}

function jsonOf(settings, name) {
  try {
    return JSON.parse(settings[name]);
  } catch (error) {
    throw new Unfit(name, t("notJson", { problem: error.message }));
  }
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** The functions the model may call, in the API's form; also bare ones are taken. */
export function toolsOf(settings) {
  if (!settings.tools.trim()) return [];
  const parsed = jsonOf(settings, "tools");
  const list = Array.isArray(parsed) ? parsed : (parsed?.tools ?? [parsed]);
  const tools = Array.isArray(list) ? list : [];
  const whole = tools.map((tool) => {
    return tool?.function ? tool : { type: "function", function: tool };
  });
  const good = whole.length > 0 && whole.every((tool) => typeof tool.function?.name === "string");
  if (!good) throw new Unfit("tools", t("notTools"));
  return whole;
}

/** The `response_format` that the settings ask for, if any. */
export function formatOf(settings) {
  if (settings.format === "text") return undefined;
  if (settings.format === "json_object") return { type: "json_object" };
  const parsed = jsonOf(settings, "schema");
  if (!isObject(parsed)) throw new Unfit("schema", t("notObject"));
  // What documentation shows for copying may have the schema wrapped, once or twice.
  const named = isObject(parsed.json_schema) ? parsed.json_schema : parsed;
  const schema = isObject(named.schema) ? named.schema : named;
  const name = isObject(named.schema) && typeof named.name === "string" ? named.name : "answer";
  return { type: "json_schema", json_schema: { name, schema, strict: true } };
}

/** The body of the request that asks for the next message. Throws `Unfit`. */
export function requestOf(conversation) {
  const { settings } = conversation;
  const body = { model: settings.model, messages: messagesOf(conversation) };
  body.stream = true;
  body.stream_options = { include_usage: true };
  // The server knows when tokens were made; here is only known when their text came.
  body.timings_per_token = true;
  for (const name of Object.keys(NUMBERS)) {
    const value = numberOf(settings, name);
    if (value !== undefined) body[name] = value;
  }
  if (settings.thinking !== "auto") body.enable_thinking = settings.thinking === "on";
  const tools = toolsOf(settings);
  if (tools.length) body.tools = tools;
  if (tools.length && settings.choice !== "auto") body.tool_choice = settings.choice;
  const format = formatOf(settings);
  if (format) body.response_format = format;
  return body;
}

function messagesOf({ settings, messages }) {
  const sent = [];
  if (settings.system.trim()) sent.push({ role: "system", content: settings.system });
  for (const message of messages) {
    if (message.role === "user") sent.push({ role: "user", content: message.content });
    else if (message.role === "tool") {
      const { tool_call_id, content } = message;
      sent.push({ role: "tool", tool_call_id, content });
    } else if (message.content || message.tool_calls?.length) sent.push(answerOf(message));
  }
  return sent;
}

/** An earlier answer. Its thoughts go along: the server knows whether the model wants them. */
function answerOf({ content, reasoning_content, tool_calls }) {
  const sent = { role: "assistant", content };
  if (reasoning_content) sent.reasoning_content = reasoning_content;
  if (tool_calls?.length) {
    sent.tool_calls = tool_calls.map(({ id, function: called }) => {
      return { id, type: "function", function: called };
    });
  }
  return sent;
}
