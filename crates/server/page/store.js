// Conversations in the browser's storage: one entry each, and one that lists them.

import { DEFAULTS } from "./request.js";

const LIST = "baimo.conversations";
const LAST = "baimo.settings";
const entry = (id) => `baimo.conversation.${id}`;

function read(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** A name no other conversation or call has. `crypto.randomUUID` is for secure pages only. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The list: `{id, title, updated}`, the latest first. */
export function list() {
  const items = read(LIST, []);
  return Array.isArray(items) ? items.sort((a, b) => b.updated - a.updated) : [];
}

/** A conversation with no messages, not kept yet, with these settings or those used last. */
export function begin(settings = read(LAST, {})) {
  const now = Date.now();
  const own = { ...DEFAULTS, ...settings };
  return { id: newId(), title: "", created: now, updated: now, settings: own, messages: [] };
}

/** The conversation with this id, or `null`. */
export function load(id) {
  const conversation = read(entry(id), null);
  if (!Array.isArray(conversation?.messages)) return null;
  conversation.settings = { ...DEFAULTS, ...conversation.settings };
  for (const { meta } of conversation.messages) {
    // The page was closed while this answer was written.
    if (meta && isRunning(meta)) meta.state = "broken";
  }
  return conversation;
}

/** Whether an answer with this `meta` is still being written. */
export const isRunning = (meta) => ["waiting", "thinking", "writing"].includes(meta.state);

/** Keeps `conversation`. Throws the browser's error when its storage is full. */
export function save(conversation) {
  localStorage.setItem(entry(conversation.id), JSON.stringify(conversation));
  const { id, title, updated } = conversation;
  const others = list().filter((item) => item.id !== id);
  localStorage.setItem(LIST, JSON.stringify([{ id, title, updated }, ...others]));
}

/** Keeps `settings` as those the next conversation begins with. */
export function saveSettings(settings) {
  localStorage.setItem(LAST, JSON.stringify(settings));
}

export function remove(id) {
  localStorage.setItem(LIST, JSON.stringify(list().filter((item) => item.id !== id)));
  localStorage.removeItem(entry(id));
}

/** A title from the first words of the first message. */
export function titleOf(conversation) {
  const first = conversation.messages.find((message) => message.role === "user");
  const line = first?.content.trim().split("\n")[0] ?? "";
  const letters = Array.from(line);
  return letters.length > 48 ? `${letters.slice(0, 47).join("")}…` : line;
}

/** Calls `changed` when another tab changes the list. */
export function onListChange(changed) {
  addEventListener("storage", (event) => {
    if (event.key === LIST || event.key === null) changed();
  });
}
