// The page: which conversation is open, and what happens to it.

import { answer, emptyAnswer } from "./answering.js";
import { showComposer, startComposer } from "./composer.js";
import { ask } from "./dialogs.js";
import { byId, el, say } from "./dom.js";
import { startFiles } from "./exchange.js";
import { clearLog, grow, showLog, startLog, toEnd } from "./log.js";
import { setPanel, showSettings, showUnfit, startPanel } from "./panel.js";
import { Unfit, requestOf } from "./request.js";
import { setOpen, showList, startSidebar } from "./sidebar.js";
import * as store from "./store.js";
import { Refused, accessKey, models, setAccessKey } from "./stream.js";
import { fillWords, language, setLanguage, t } from "./text.js";

let open = store.begin();
let names = [];
/** Answers being written, by the id of their conversation: it goes on while another is read. */
const runs = new Map();

const running = () => runs.has(open.id);

/** Shows everything as it is now. */
function show() {
  document.title = open.title ? `${open.title} · baimo 百模` : "baimo 百模";
  byId("title").textContent = open.title;
  byId("title").hidden = !open.title;
  byId("menu-button").hidden = open.messages.length === 0;
  showModels();
  showLog(open, running(), { retry, edit, results });
  showComposer(running(), open.settings);
  showList(open.id, runs, { rename, remove });
}

function keep(conversation) {
  try {
    store.save(conversation);
  } catch {
    say(t("storageFull"), true);
  }
}

// Which conversation

function route() {
  const id = location.hash.slice(1);
  if (id === open.id) return;
  open = runs.get(id)?.conversation ?? store.load(id) ?? store.begin(open.settings);
  if (id && open.id !== id) history.replaceState(null, "", location.pathname);
  clearLog();
  showSettings(open.settings);
  show();
  toEnd();
  if (!matchMedia("(pointer: coarse)").matches) byId("prompt").focus();
}

function begin() {
  setOpen(false);
  if (location.hash) location.hash = "";
  byId("prompt").focus();
}

async function rename(id) {
  const conversation = found(id);
  if (!conversation) return;
  const question = { title: t("rename"), label: t("title"), confirm: t("save") };
  const title = await ask({ ...question, value: conversation.title });
  if (!title?.trim()) return;
  conversation.title = title.trim();
  keep(conversation);
  show();
}

async function remove(id) {
  const conversation = found(id);
  const note = t("removeNote", { title: conversation?.title ?? "" });
  const question = { title: t("removeAsked"), note, confirm: t("remove"), danger: true };
  if ((await ask(question)) === null) return;
  runs.get(id)?.controller.abort();
  store.remove(id);
  if (id === open.id) begin();
  else show();
}

const found = (id) => {
  if (id === open.id) return open;
  return runs.get(id)?.conversation ?? store.load(id);
};

// What happens to it

function send(text) {
  const { messages } = open;
  const waiting = byId("log").querySelector(".call textarea");
  if (waiting) {
    say(t("resultsFirst"), true);
    waiting.focus();
    return false;
  }
  return run([...messages, { role: "user", content: text }]);
}

function retry(message) {
  if (!running()) run(open.messages.slice(0, open.messages.indexOf(message)));
}

function edit(message, text) {
  if (running()) return;
  const before = open.messages.slice(0, open.messages.indexOf(message));
  run([...before, { role: "user", content: text }]);
}

function results(calls, texts) {
  const missing = texts.findIndex((text) => !text.trim());
  if (missing >= 0) {
    byId("log").querySelectorAll(".call textarea")[missing].focus();
    return;
  }
  const told = calls.map(({ id, function: { name } }, index) => {
    return { role: "tool", tool_call_id: id, name, content: texts[index] };
  });
  run([...open.messages, ...told]);
}

/** Makes `messages` the conversation and asks for the next one; `false` if a setting forbids. */
function run(messages) {
  const conversation = open;
  let body;
  try {
    body = requestOf({ ...conversation, messages });
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    say(error.message, true);
    showUnfit(error);
    return false;
  }
  const message = emptyAnswer(body.model);
  message.meta.json = Boolean(body.response_format);
  conversation.messages = [...messages, message];
  conversation.title ||= store.titleOf(conversation);
  conversation.updated = Date.now();
  const controller = new AbortController();
  runs.set(conversation.id, { conversation, controller });
  keep(conversation);
  history.replaceState(null, "", `#${conversation.id}`);
  show();
  toEnd();
  complete(conversation, message, body, controller.signal);
  return true;
}

async function complete(conversation, message, body, signal) {
  const update = () => {
    if (conversation === open) grow(message);
  };
  // Seconds pass also where no token comes.
  const clock = setInterval(update, 250);
  const keeper = setInterval(() => keep(conversation), 2000);
  say(t("reading"));
  try {
    await withKey(signal, async () => {
      if (!names.length) await loadModels();
      body.model ||= names[0];
      await answer(message, body, signal, update);
    });
  } catch (error) {
    message.meta.state = signal.aborted ? "stopped" : "failed";
    const { status, message: words } = error;
    message.meta.error = error instanceof Refused ? { status, message: words } : { offline: true };
  }
  clearInterval(clock);
  clearInterval(keeper);
  runs.delete(conversation.id);
  if (store.list().some(({ id }) => id === conversation.id)) keep(conversation);
  const { state } = message.meta;
  say(t({ done: "answered", stopped: "stopped", broken: "broken" }[state] ?? "failed"));
  if (conversation === open) show();
  else showList(open.id, runs, { rename, remove });
}

/** Runs `task`, again with a key from the user for as long as the server wants one. */
async function withKey(signal, task) {
  for (;;) {
    const used = accessKey();
    try {
      return await task();
    } catch (error) {
      if (error.status !== 401 || signal?.aborted) throw error;
      // Another request may have asked for it meanwhile.
      if (accessKey() === used && !(await askKey(used))) throw error;
    }
  }
}

let asking = null;
function askKey(used) {
  const note = used ? t("keyWrong") : t("keyNote");
  const question = { title: t("keyAsked"), note, label: t("accessKey"), type: "password" };
  asking ??= ask({ ...question, confirm: t("useKey") }).then((key) => {
    asking = null;
    if (key) setAccessKey(key.trim());
    return Boolean(key);
  });
  return asking;
}

// Models

async function loadModels() {
  names = await models();
  showModels();
}

function showModels() {
  const picker = byId("model");
  // The model of an old conversation may be served no more.
  if (names.length && !names.includes(open.settings.model)) open.settings.model = names[0];
  const options = names.map((name) => el("option", { value: name, text: name }));
  picker.replaceChildren(...(options.length ? options : [el("option", { text: t("noModel") })]));
  picker.disabled = names.length === 0;
  if (names.length) picker.value = open.settings.model;
}

function settingsChanged() {
  store.saveSettings(open.settings);
  if (open.messages.length) keep(open);
  showComposer(running(), open.settings);
}

// The start

function speak(code) {
  if (code) setLanguage(code);
  fillWords(document);
  byId("language").value = language();
  clearLog();
  showSettings(open.settings);
  show();
}

function stop() {
  runs.get(open.id)?.controller.abort();
}

startLog();
startSidebar();
startPanel(settingsChanged);
startComposer({
  send,
  stop,
  think: (value) => {
    open.settings.thinking = value;
    settingsChanged();
  },
  settings: () => setPanel(true),
});
const openById = (id) => (location.hash = id);
startFiles({ current: () => open, changed: show, rename, remove, open: openById });
byId("new").addEventListener("click", begin);
byId("language").addEventListener("change", (event) => speak(event.target.value));
byId("model").addEventListener("change", (event) => {
  open.settings.model = event.target.value;
  settingsChanged();
});
byId("change-key").addEventListener("click", async () => {
  if (await askKey("")) withKey(null, loadModels).catch(() => {});
});
addEventListener("hashchange", route);
addEventListener("pagehide", () => {
  for (const { conversation } of runs.values()) keep(conversation);
});
addEventListener("keydown", (event) => {
  const elsewhere = document.querySelector("dialog[open], :popover-open");
  if (event.key !== "Escape" || event.isComposing || elsewhere) return;
  if (running()) stop();
  else if (!byId("settings").hidden) setPanel(false);
  else setOpen(false);
});
store.onListChange(() => showList(open.id, runs, { rename, remove }));
speak();
if (location.hash) route();
withKey(null, loadModels).catch(() => say(t("offline"), true));
byId("prompt").focus();
