// Building the page. Text only ever becomes text nodes: nothing here or elsewhere parses HTML.

/**
 * An element. `props` are attributes, but `class`, `text` and `on` (event listeners by name);
 * a value of `false`, `null` or `undefined` leaves its attribute out. Children are nodes, texts
 * and lists of them.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "on") for (const key in value) node.addEventListener(key, value[key]);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child != null) node.append(child);
  return node;
}

/** Takes the children out of `node`, however many, in a fragment. */
export function contents(node) {
  // A Range would do it in one call, but each one alive makes every later change slower.
  const fragment = document.createDocumentFragment();
  while (node.firstChild) fragment.append(node.firstChild);
  return fragment;
}

/** The element with this id, which stands in index.html. */
export const byId = (id) => document.getElementById(id);

const ICONS = {
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M6.5 6.5h11v11h-11z",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  retry: "M19 12a7 7 0 1 1-2-5M17.5 3v4.5H13",
  edit: "M5 19l1-4L16 5l3 3L9 18zM14 7l3 3",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7M10.5 10.5v6M13.5 10.5v6",
  tool: "M14.5 6.5a4 4 0 0 1 5-1l-3 3 .5 2 2 .5 3-3a4 4 0 0 1-5.5 5L8 21.5 4.5 18z",
};

/** One of the page's drawings, silent to screen readers. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows a drawing and is named by `label`. */
export function iconButton(name, label, click, extra = "") {
  const words = { "aria-label": label, title: label };
  const props = { type: "button", class: `icon-button ${extra}`, ...words, on: { click } };
  return el("button", props, icon(name));
}

/** A button that copies what `text()` returns, and shows for a moment that it did. */
export function copyButton(label, done, text) {
  const button = iconButton("copy", label, async () => {
    if (!(await copyText(text()))) return;
    button.replaceChildren(icon("check"));
    say(done);
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}

/** Copies `text`; also where the page was not loaded securely, as from another host by http. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    const before = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    before?.focus();
    return copied;
  }
}

/** Tells `text` to screen readers; with `shown` also to the eye, for a few seconds. */
export function say(text, shown = false) {
  byId("status").textContent = text;
  if (!shown) return;
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (toast.hidden = true), 5000);
}

/** Makes `area` as high as its text; the style sheet sets the limit. */
export function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}

/** Whether this key press sends: Enter alone, and not one that ends an input method's word. */
export function isSendKey(event) {
  // Safari ends the composition before the key press; the code 229 is left as its trace.
  const composing = event.isComposing || event.keyCode === 229;
  const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
  return event.key === "Enter" && plain && !composing;
}
