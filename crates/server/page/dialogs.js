// One question at a time, in a dialog above the page.

import { el } from "./dom.js";
import { t } from "./text.js";

/**
 * Asks the user. With a `label` there is a field, with `value` in it and of `type`; the answer is
 * its text, or "" without one. `null` means the user went away.
 */
export function ask({ title, note, label, value = "", type = "text", confirm, danger = false }) {
  const input = el("input", { type, value, autocomplete: "off", required: true });
  const field = label && el("label", { class: "field" }, el("span", { text: label }), input);
  const cancel = el("button", { type: "button", text: t("cancel") });
  const accept = el("button", { class: danger ? "danger" : "primary", text: confirm });
  const form = el(
    "form",
    { class: "ask" },
    el("h2", { text: title }),
    note ? el("p", { text: note }) : null,
    field ?? null,
    el("div", { class: "row" }, cancel, accept),
  );
  const dialog = el("dialog", { "aria-label": title }, form);
  return new Promise((resolve) => {
    let answer = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      answer = field ? input.value : "";
      dialog.close();
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    if (field) input.select();
  });
}
