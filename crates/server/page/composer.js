// Where a message is written: the text, the switch for thinking, and send or stop.

import { byId, el, fitHeight, icon, isSendKey } from "./dom.js";
import { summaryOf } from "./panel.js";
import { t } from "./text.js";

/** What is being written, kept for this tab's reloads. */
const DRAFT = "baimo.draft";
const SWITCH = ["auto", "on", "off"];
let busy = false;

/** Makes it work. `actions` has `send(text)`, which returns whether it was taken, and `stop()`. */
export function startComposer({ send, stop, think, settings }) {
  const area = byId("prompt");
  const submit = () => {
    if (busy || !area.value.trim() || !send(area.value)) return;
    area.value = "";
    sessionStorage.removeItem(DRAFT);
    fitHeight(area);
  };
  area.value = sessionStorage.getItem(DRAFT) ?? "";
  fitHeight(area);
  area.addEventListener("input", () => {
    sessionStorage.setItem(DRAFT, area.value);
    fitHeight(area);
    byId("send").disabled = !busy && !area.value.trim();
  });
  area.addEventListener("keydown", (event) => {
    if (!isSendKey(event)) return;
    event.preventDefault();
    submit();
  });
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (busy) stop();
    else submit();
    area.focus();
  });
  byId("chips").addEventListener("click", settings);
  const options = SWITCH.map((value) => {
    const input = el("input", { type: "radio", name: "thinking", value });
    input.addEventListener("change", () => think(value));
    const word = el("span", {});
    word.dataset.text = value;
    return el("label", {}, input, word);
  });
  byId("thinking").append(...options);
}

/** Shows whether an answer is being written, and the settings that are in force. */
export function showComposer(running, settings) {
  busy = running;
  const button = byId("send");
  const label = t(busy ? "stop" : "send");
  if (button.getAttribute("aria-label") !== label) {
    button.replaceChildren(icon(busy ? "stop" : "send"));
    button.setAttribute("aria-label", label);
    button.title = label;
  }
  button.classList.toggle("stop", busy);
  button.disabled = !busy && !byId("prompt").value.trim();
  for (const input of byId("thinking").querySelectorAll("input")) {
    input.checked = input.value === settings.thinking;
  }
  const chips = summaryOf(settings);
  byId("chips").replaceChildren(...chips.map((text) => el("span", { class: "chip", text })));
  byId("chips").hidden = chips.length === 0;
}
