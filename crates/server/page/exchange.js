// The buttons that carry conversations out of the page and into it, and the menu of one of them.

import { byId, say } from "./dom.js";
import { download, fileName, fromJson, toJson, toMarkdown } from "./files.js";
import { list, load, save } from "./store.js";
import { t } from "./text.js";

/** Makes them work. `current()` is the open conversation; `changed()` is called after an import. */
export function startFiles({ current, changed, rename, remove, open }) {
  const menu = byId("menu");
  menu.addEventListener("toggle", () => {
    const button = byId("menu-button").getBoundingClientRect();
    const left = Math.min(button.left, innerWidth - menu.offsetWidth - 8);
    menu.style.left = `${left}px`;
    menu.style.top = `${button.bottom + 4}px`;
  });
  const item = (id, action) => {
    byId(id).addEventListener("click", () => {
      menu.hidePopover();
      action(current());
    });
  };
  item("rename", ({ id }) => rename(id));
  item("remove", ({ id }) => remove(id));
  item("export-markdown", (conversation) => {
    const name = fileName(conversation.title, "md");
    download(name, "text/markdown", toMarkdown(conversation));
  });
  item("export-json", (conversation) => {
    download(fileName(conversation.title, "json"), "application/json", toJson([conversation]));
  });
  byId("export-all").addEventListener("click", () => {
    const all = list().map(({ id }) => load(id)).filter(Boolean);
    download("baimo.json", "application/json", toJson(all));
  });
  byId("import").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file) read(await file.text(), changed, open);
  });
}

function read(text, changed, open) {
  let conversations;
  try {
    conversations = fromJson(text);
  } catch (error) {
    say(t("importBad", { problem: error.message }), true);
    return;
  }
  try {
    conversations.forEach(save);
    say(t("imported", { n: conversations.length }), true);
  } catch {
    say(t("storageFull"), true);
  }
  changed();
  if (conversations.length) open(conversations[0].id);
}
