// The list of conversations at the side; on a phone it slides over the page.

import { byId, el, iconButton } from "./dom.js";
import { list } from "./store.js";
import { t } from "./text.js";

/** Shows the list; `runs` has the ids of answers being written. */
export function showList(current, runs, actions) {
  const items = list().map(({ id, title }) => {
    const mark = id === current ? "page" : null;
    const link = el("a", { href: `#${id}`, "aria-current": mark, text: title, title });
    const buttons = el(
      "div",
      { class: "actions" },
      iconButton("edit", `${t("rename")}: ${title}`, () => actions.rename(id)),
      iconButton("trash", `${t("remove")}: ${title}`, () => actions.remove(id)),
    );
    const state = `${mark ? "current" : ""} ${runs.has(id) ? "running" : ""}`;
    return el("li", { class: state.trim() }, link, buttons);
  });
  const none = el("li", { class: "none", text: t("none") });
  byId("conversations").replaceChildren(...(items.length ? items : [none]));
}

const narrow = matchMedia("(max-width: 860px)");

/** Makes the buttons that open and close the list work. */
export function startSidebar() {
  byId("open-list").addEventListener("click", () => setOpen(true));
  byId("close-list").addEventListener("click", () => setOpen(false));
  byId("shade").addEventListener("click", () => setOpen(false));
  byId("conversations").addEventListener("click", (event) => {
    if (event.target.closest("a")) setOpen(false);
  });
  narrow.addEventListener("change", () => setOpen(false));
  setOpen(false);
}

/** Opens or closes the list where it lies over the page; elsewhere it is always there. */
export function setOpen(open) {
  const sidebar = byId("sidebar");
  const wasOpen = sidebar.classList.contains("open");
  sidebar.classList.toggle("open", open);
  sidebar.inert = narrow.matches && !open;
  byId("shade").hidden = !open;
  if (open) byId("close-list").focus();
  else if (wasOpen) byId("open-list").focus();
}
