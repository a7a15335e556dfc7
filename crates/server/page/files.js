// Conversations as files: JSON that can be read back, and Markdown for people.

import { el } from "./dom.js";
import { DEFAULTS } from "./request.js";
import { newId } from "./store.js";
import { t } from "./text.js";

const FORMAT = "baimo.conversations";

/** All of `conversations` as one JSON text. */
export function toJson(conversations) {
  return JSON.stringify({ format: FORMAT, version: 1, conversations }, null, 2);
}

/** A conversation to read: thoughts folded, calls as code. */
export function toMarkdown({ title, settings, messages }) {
  const parts = [`# ${title}`];
  if (settings.system.trim()) parts.push(`**${t("system")}**\n\n${settings.system}`);
  for (const message of messages) parts.push(...markdownOf(message));
  return `${parts.join("\n\n")}\n`;
}

function markdownOf(message) {
  const { role, content, reasoning_content, tool_calls, name, meta } = message;
  if (role === "user") return [`## ${t("you")}`, content];
  if (role === "tool") return [`**${t("resultOf", { name })}**`, fenced(content)];
  const parts = [`## ${meta?.model || "baimo"}`];
  if (reasoning_content) {
    const summary = `<summary>${t("thoughtOnly")}</summary>`;
    parts.push(`<details>${summary}\n\n${reasoning_content}\n\n</details>`);
  }
  if (content) parts.push(content);
  for (const { function: called } of tool_calls ?? []) {
    parts.push(`**${t("callsTool")}** \`${called.name}\``, fenced(called.arguments, "json"));
  }
  return parts;
}

/** `text` as a block of code, behind a fence longer than any in it. */
function fenced(text, name = "") {
  const runs = text.match(/`{3,}/g) ?? [];
  const fence = "`".repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
  return `${fence}${name}\n${text}\n${fence}`;
}

/** Hands `text` to the user as a file. */
export function download(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** `title` as a file name every system takes. */
export function fileName(title, extension) {
  const name = title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);
  return `${name || "baimo"}.${extension}`;
}

/** The conversations in a file that `toJson` wrote, with new ids. Throws what is wrong with it. */
export function fromJson(text) {
  const { format, version, conversations } = JSON.parse(text) ?? {};
  if (format !== FORMAT || version !== 1 || !Array.isArray(conversations)) {
    throw new Error(`format: "${FORMAT}", version: 1`);
  }
  return conversations.map((conversation, index) => {
    const place = `conversations[${index}]`;
    const { title, created, updated, settings, messages } = conversation ?? {};
    wanted(typeof title === "string", `${place}.title`);
    wanted(Number.isFinite(created) && Number.isFinite(updated), `${place}.updated`);
    wanted(Array.isArray(messages), `${place}.messages`);
    messages.forEach((message, at) => checkMessage(message, `${place}.messages[${at}]`));
    const kept = { ...DEFAULTS };
    for (const key in DEFAULTS) if (typeof settings?.[key] === "string") kept[key] = settings[key];
    return { id: newId(), title, created, updated, settings: kept, messages };
  });
}

function checkMessage(message, place) {
  const { role, content, reasoning_content = "", tool_calls = [], tool_call_id } = message ?? {};
  wanted(["user", "assistant", "tool"].includes(role), `${place}.role`);
  wanted(typeof content === "string", `${place}.content`);
  wanted(typeof reasoning_content === "string", `${place}.reasoning_content`);
  wanted(role !== "tool" || typeof tool_call_id === "string", `${place}.tool_call_id`);
  wanted(Array.isArray(tool_calls), `${place}.tool_calls`);
  for (const call of tool_calls) {
    const { name, arguments: given } = call?.function ?? {};
    const whole = [call?.id, name, given].every((part) => typeof part === "string");
    wanted(whole, `${place}.tool_calls`);
  }
  const { meta } = message;
  wanted(meta === undefined || (meta !== null && typeof meta === "object"), `${place}.meta`);
}

function wanted(holds, place) {
  if (!holds) throw new Error(place);
}
