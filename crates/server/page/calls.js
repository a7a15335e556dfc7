// A tool call: what the model asks for, and the place for what the tool returned.

import { codeBlock } from "./code.js";
import { el, fitHeight, icon } from "./dom.js";
import { t } from "./text.js";

/**
 * The card of `call`. With `open` it asks for the result, which `result()` then reads; otherwise
 * it shows the tool message `result`, if there is one.
 */
export function callCard(call, result, open) {
  const { name, arguments: given } = call.function;
  const head = el("div", { class: "call-name" }, icon("tool"), el("code", { text: name }));
  const label = t("callsTool");
  const node = el("section", { class: "call", "aria-label": `${label}: ${name}` }, head);
  const text = laidOut(given);
  if (text !== "{}") node.append(codeBlock({ name: "json", text }));
  if (result) node.append(resultOf(result));
  if (!open) return { node, result: () => "" };
  const area = el("textarea", { rows: 2, placeholder: t("resultHint"), spellcheck: "false" });
  area.addEventListener("input", () => fitHeight(area));
  const title = el("span", { text: t("resultOf", { name }) });
  node.append(el("label", { class: "field" }, title, area));
  return { node, result: () => area.value };
}

function resultOf({ content }) {
  const text = laidOut(content);
  const name = text === content && !/^\s*[[{]/.test(content) ? "text" : "json";
  const summary = el("summary", { text: t("result") });
  return el("details", { class: "call-result" }, summary, codeBlock({ name, text }));
}

/** JSON on lines of its own; any other text as it is. */
function laidOut(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
