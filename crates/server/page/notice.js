// What the page says about an answer: what it waits for, what went wrong, what it cost.

import { el } from "./dom.js";
import { count, seconds, t } from "./text.js";

/** A notice below the answer: its `kind` and nodes; `null` if all is well. */
export function noticeOf({ meta, content, tool_calls }) {
  if (!meta) return null;
  if (meta.retryAt) {
    const left = Math.max(0, Math.ceil((meta.retryAt - Date.now()) / 1000));
    return waiting(t("full"), t("again", { seconds: t("seconds", { n: left }) }));
  }
  if (meta.state === "waiting") {
    const spent = Math.floor((Date.now() - (meta.began ?? Date.now())) / 1000);
    // A moment's wait is not worth a number that jumps.
    return waiting(t("reading"), spent >= 2 ? t("seconds", { n: spent }) : "");
  }
  if (meta.state === "failed") return failure(meta.error ?? {});
  if (meta.state === "broken") return problem(t("broken"), t("brokenHint"));
  if (meta.state === "stopped") return quiet(t("stopped"));
  if (meta.finish === "length") return quiet(t("cutShort"));
  if (meta.finish === "content_filter") return quiet(t("filtered"));
  const silent = meta.state === "done" && !content && !tool_calls?.length;
  return silent ? quiet("∅") : null;
}

const quiet = (text) => ({ kind: "quiet", nodes: [el("span", { text })] });

function waiting(text, time) {
  const dots = el("span", { class: "dots", "aria-hidden": "true" });
  const spent = el("span", { class: "time", text: time });
  return { kind: "waiting", nodes: [dots, el("span", { text }), spent] };
}

function problem(title, ...lines) {
  const paragraphs = lines.filter(Boolean).map((text) => el("p", { text }));
  return { kind: "problem", nodes: [el("strong", { text: title }), ...paragraphs] };
}

function failure({ offline, message, status, param, code, after }) {
  if (offline) return problem(t("offline"), t("offlineHint"));
  const title = status === 429 ? t("full") : t("failed");
  const about = [status, code, param && t("field", { name: param })].filter(Boolean).join(" · ");
  const wait = after ? t("retryAfter", { seconds: seconds(after) }) : "";
  return problem(`${title}${about ? ` (${about})` : ""}`, message, wait);
}

/** What the answer took, as short texts: its speed and its counts of tokens. */
export function statistics({ usage, rate, first }) {
  const texts = [];
  if (rate) texts.push(t("speed", { n: rate < 100 ? rate.toFixed(1) : count(Math.round(rate)) }));
  if (usage) {
    const cached = usage.prompt_tokens_details?.cached_tokens;
    const thought = usage.completion_tokens_details?.reasoning_tokens;
    texts.push(counted("promptCount", usage.prompt_tokens, "cachedCount", cached));
    texts.push(counted("answerCount", usage.completion_tokens, "thoughtCount", thought));
  }
  if (first >= 0.05) texts.push(t("firstToken", { seconds: seconds(first) }));
  return texts;
}

function counted(key, whole, partKey, part) {
  const text = t(key, { n: count(whole ?? 0) });
  return part ? `${text} (${t(partKey, { n: count(part) })})` : text;
}
