// The panel of settings: a form that reads and writes a conversation's settings.

import { byId, el, fitHeight } from "./dom.js";
import { DEFAULTS, NUMBERS, Unfit, formatOf, numberOf, toolsOf } from "./request.js";
import { t } from "./text.js";

const TEXTS = ["system", "schema", "tools"];
const FIELDS = [...Object.keys(NUMBERS), ...TEXTS, "format", "choice"];
let settings = { ...DEFAULTS };
let changed = () => {};

/** Makes the form; `onChange` is called after each change of a setting. */
export function startPanel(onChange) {
  changed = onChange;
  const numbers = Object.keys(NUMBERS).map((name) => {
    const mode = NUMBERS[name].whole ? "numeric" : "decimal";
    const input = el("input", { id: `set-${name}`, inputmode: mode, autocomplete: "off" });
    input.dataset.hint = "asModel";
    const label = el("label", { for: `set-${name}` });
    label.dataset.text = name;
    return el("div", { class: "field number" }, label, input);
  });
  byId("numbers").replaceChildren(...numbers);
  for (const name of FIELDS) {
    const input = byId(`set-${name}`);
    const problem = el("p", { class: "invalid", id: `problem-${name}`, hidden: true });
    input.parentElement.append(problem);
    input.setAttribute("aria-describedby", problem.id);
    input.addEventListener("input", () => {
      settings[name] = input.value;
      refresh();
      changed();
    });
  }
  byId("reset").addEventListener("click", () => {
    Object.assign(settings, { ...DEFAULTS, model: settings.model });
    showSettings(settings);
    changed();
  });
  byId("open-settings").addEventListener("click", () => setPanel(byId("settings").hidden));
  byId("close-settings").addEventListener("click", () => setPanel(false));
}

/** Shows `shown` in the form, and changes them from now on. */
export function showSettings(shown) {
  settings = shown;
  for (const name of FIELDS) {
    byId(`set-${name}`).value = settings[name];
  }
  refresh();
}

/** Opens or closes the panel. */
export function setPanel(open) {
  const panel = byId("settings");
  const within = panel.contains(document.activeElement);
  panel.hidden = !open;
  byId("open-settings").setAttribute("aria-expanded", String(open));
  if (open) for (const name of TEXTS) fitHeight(byId(`set-${name}`));
  if (!open && within) byId("open-settings").focus();
}

/** Opens the panel at the setting that `unfit` is about. */
export function showUnfit(unfit) {
  setPanel(true);
  byId(`set-${unfit.setting}`).focus();
}

/** Says under each field what is wrong with it. */
function refresh() {
  byId("schema-field").hidden = settings.format !== "json_schema";
  byId("choice-field").hidden = !settings.tools.trim();
  for (const name of TEXTS) fitHeight(byId(`set-${name}`));
  const checks = { schema: () => formatOf(settings), tools: () => toolsOf(settings) };
  for (const name of Object.keys(NUMBERS)) checks[name] = () => numberOf(settings, name);
  for (const [name, check] of Object.entries(checks)) {
    const text = name === "schema" && !settings.schema ? "" : problemOf(check);
    const problem = byId(`problem-${name}`);
    problem.textContent = text;
    problem.hidden = !text;
    byId(`set-${name}`).setAttribute("aria-invalid", String(Boolean(text)));
  }
}

function problemOf(check) {
  try {
    check();
    return "";
  } catch (error) {
    if (error instanceof Unfit) return error.message;
    throw error;
  }
}

/** The settings that differ from the model's own, as short texts. */
export function summaryOf(shown) {
  const texts = [];
  if (shown.system.trim()) texts.push(t("system"));
  for (const name of Object.keys(NUMBERS)) {
    if (shown[name].trim()) texts.push(`${t(name)} ${shown[name].trim()}`);
  }
  if (shown.format !== "text") texts.push("JSON");
  if (shown.tools.trim()) {
    const bad = problemOf(() => toolsOf(shown));
    texts.push(t("toolCount", { n: bad ? "?" : toolsOf(shown).length }));
  }
  return texts;
}
