// The messages of a conversation as they are seen.

import { callCard } from "./calls.js";
import { copyButton, el, fitHeight, iconButton, isSendKey } from "./dom.js";
import { Prose } from "./markdown.js";
import { isRunning } from "./store.js";
import { noticeOf, statistics } from "./notice.js";
import { seconds, t } from "./text.js";

/** What the user can do: `retry(message)`, `edit(message, text)`, `results(calls, texts)`. */
let actions;
const views = new Map();

/** Shows the conversation's messages in `node`, keeping the nodes of those already there. */
export function showMessages(node, conversation, given) {
  actions = given;
  const { messages } = conversation;
  const kept = messages.filter((message) => message.role !== "tool");
  for (const [message, view] of views) {
    if (kept.includes(message)) continue;
    view.node.remove();
    views.delete(message);
  }
  kept.forEach((message, index) => {
    if (!views.has(message)) views.set(message, viewOf(message));
    const view = views.get(message);
    if (node.children[index] !== view.node) node.insertBefore(view.node, node.children[index]);
    const last = message === kept.at(-1);
    view.show({ last, results: resultsAfter(messages, message) });
  });
}

/** Shows more of `message`, the last one, while it is written. */
export function showMore(message) {
  views.get(message)?.show({ last: true, results: [] });
}

/** Forgets all nodes, as when the language changes. */
export function forgetMessages() {
  for (const view of views.values()) view.node.remove();
  views.clear();
}

const viewOf = (message) => {
  return message.role === "user" ? new Question(message) : new Answer(message);
};

/** The tool messages that directly follow `message`. */
function resultsAfter(messages, message) {
  const rest = messages.slice(messages.indexOf(message) + 1);
  const end = rest.findIndex((next) => next.role !== "tool");
  return end < 0 ? rest : rest.slice(0, end);
}

class Question {
  constructor(message) {
    this.message = message;
    this.node = el("article", { class: "message user", "aria-label": t("you") });
    this.read();
  }

  show() {}

  read() {
    const { content } = this.message;
    const copy = copyButton(t("copy"), t("copied"), () => content);
    const edit = iconButton("edit", t("edit"), () => this.edit(), "edit");
    this.node.replaceChildren(
      el("div", { class: "bubble", text: content }),
      el("div", { class: "actions" }, copy, edit),
    );
  }

  edit() {
    const area = el("textarea", { "aria-label": t("edit"), rows: 1 });
    area.value = this.message.content;
    const send = () => {
      if (area.value.trim()) actions.edit(this.message, area.value);
    };
    const keys = (event) => {
      if (isSendKey(event)) {
        event.preventDefault();
        send();
      } else if (event.key === "Escape" && !event.isComposing) {
        event.stopPropagation();
        this.read();
        this.node.querySelector(".edit").focus();
      }
    };
    area.addEventListener("keydown", keys);
    area.addEventListener("input", () => fitHeight(area));
    const buttons = el(
      "div",
      { class: "row" },
      el("small", { text: t("editHint") }),
      el("button", { type: "button", text: t("cancel"), on: { click: () => this.read() } }),
      el("button", { type: "button", class: "primary", text: t("send"), on: { click: send } }),
    );
    this.node.replaceChildren(el("div", { class: "editor" }, area, buttons));
    fitHeight(area);
    area.focus();
  }
}

class Answer {
  constructor(message) {
    this.message = message;
    const thoughts = el("div", { class: "prose" });
    const content = el("div", { class: "prose content" });
    this.thoughts = new Prose(thoughts);
    this.content = new Prose(content);
    this.summary = el("summary", {});
    this.details = el("details", { class: "thinking", hidden: true }, this.summary, thoughts);
    this.summary.addEventListener("click", () => (this.chosen = true));
    this.calls = el("div", { class: "calls" });
    this.notice = el("div", { class: "notice", hidden: true });
    this.foot = el("div", { class: "foot" });
    this.who = el("div", { class: "who" });
    const parts = [this.who, this.details, content, this.calls, this.notice, this.foot];
    this.node = el("article", { class: "message assistant" }, parts);
  }

  show({ last, results }) {
    const { message } = this;
    const meta = message.meta ?? { state: "done" };
    const running = isRunning(meta);
    this.who.textContent = meta.model || "baimo";
    this.node.setAttribute("aria-label", meta.model || "baimo");
    this.node.setAttribute("aria-busy", String(running));
    this.node.dataset.state = meta.state;
    this.showThoughts(meta);
    this.content.show(meta.json ? fencedJson(message.content) : message.content);
    this.showCalls(last && !running, results);
    this.notice.hidden = true;
    const notice = noticeOf(message);
    if (notice) {
      this.notice.replaceChildren(...notice.nodes);
      this.notice.className = `notice ${notice.kind}`;
      this.notice.hidden = false;
    }
    this.showFoot(meta, last, running);
  }

  showThoughts(meta) {
    const text = this.message.reasoning_content ?? "";
    this.details.hidden = !text.trim();
    if (this.details.hidden) return;
    const thinking = meta.state === "thinking";
    this.began ??= performance.now();
    // Open while it thinks, then folded; but as the user wants it once they touched it.
    if (!this.chosen) this.details.open = thinking;
    const spent = thinking ? (performance.now() - this.began) / 1000 : meta.thought;
    const done = spent >= 0.05 ? t("thought", { seconds: seconds(spent) }) : t("thoughtOnly");
    this.summary.textContent = thinking ? `${t("thinkingNow")} · ${seconds(spent)}` : done;
    this.thoughts.show(text);
  }

  /** Cards are made anew only when something changed: one may hold a half-written result. */
  showCalls(open, results) {
    const calls = (this.message.tool_calls ?? []).filter(Boolean);
    const state = JSON.stringify([calls, open, results.map((result) => result.content)]);
    if (state === this.callState) return;
    this.callState = state;
    const cards = calls.map((call) => {
      const result = results.find((one) => one.tool_call_id === call.id);
      return callCard(call, result, open && !result);
    });
    this.calls.replaceChildren(...cards.map((card) => card.node));
    const waiting = open && calls.length > 0 && results.length < calls.length;
    if (!waiting) return;
    const send = () => actions.results(calls, cards.map((card) => card.result()));
    const props = { type: "button", class: "primary", text: t("sendResults"), on: { click: send } };
    this.calls.append(el("div", { class: "row" }, el("button", props)));
  }

  showFoot(meta, last, running) {
    const state = JSON.stringify([meta.usage, meta.rate, meta.first, last, running]);
    if (state === this.footState) return;
    this.footState = state;
    if (running) return this.foot.replaceChildren();
    const buttons = el("div", { class: "actions" });
    const { content } = this.message;
    if (content) buttons.append(copyButton(t("copy"), t("copied"), () => content));
    if (last) {
      const retry = () => actions.retry(this.message);
      buttons.append(iconButton("retry", t("retry"), retry, "retry"));
    }
    const words = statistics(meta).map((text) => el("span", { text }));
    this.foot.replaceChildren(buttons, el("div", { class: "statistics" }, words));
  }
}

/** An answer that was asked for as JSON, as a block of code; whole ones are laid out. */
function fencedJson(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  let laid = text;
  try {
    laid = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Still being written.
  }
  return `~~~~~~~~json\n${laid}\n~~~~~~~~`;
}
