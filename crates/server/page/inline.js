// Markdown inside a line: emphasis, code, links, formulas. Text in, DOM nodes out; one pass.

import { contents, el } from "./dom.js";

const SPECIAL = /[\\`*_~[\]!<&$\n]|https?:\/\//g;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}_]/u;
const DESTINATION = /\(\s*(<[^<>\n]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+"[^"\n]*")?\s*\)/y;
const ANGLED = /<(https?:\/\/[^\s<>]+|mailto:[^\s<>]+)>/y;
const BREAK = /<br\s{0,3}\/?>/iy;
const ENTITY = /&(amp|lt|gt|quot|nbsp|#39);/y;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0", "#39": "'" };
// Only what a URL may hold: a full stop or a word in Chinese ends it.
const URL_TEXT = /https?:\/\/[A-Za-z0-9\-._~:/?#@!$&'()+,;=%]+/y;
const EMPHASIS = { "*": "em", "_": "em", "**": "strong", "__": "strong", "~~": "del" };
/** Deeper nesting is text: no writer means it, and a browser has a stack. */
const FRAMES_MAX = 24;

/** `target` as an address that is safe to open, or `null`: no script, no data, no relative path. */
function safeLink(target) {
  try {
    const url = new URL(target);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** The nodes of `text`, in a fragment. */
export function inline(text) {
  const root = document.createDocumentFragment();
  new Scan(text, root).run();
  return root;
}

function link(href, ...children) {
  const props = { href, target: "_blank", rel: "noopener noreferrer nofollow" };
  return el("a", props, ...children);
}

/** One pass over a text. Open emphasis and links are frames; what is never closed becomes text. */
class Scan {
  constructor(text, root) {
    this.text = text;
    this.at = 0;
    this.pending = "";
    this.frames = [{ marker: "", node: root }];
    this.unclosed = new Set();
    this.lastLink = text.lastIndexOf("](");
  }

  get top() {
    return this.frames[this.frames.length - 1];
  }

  /** Adds texts and nodes. Texts are gathered first: a node for each would be slow. */
  put(...nodes) {
    for (const node of nodes) {
      if (typeof node === "string") {
        this.pending += node;
        continue;
      }
      this.settle();
      this.top.node.append(node);
    }
  }

  settle() {
    if (this.pending) this.top.node.append(this.pending);
    this.pending = "";
  }

  push(frame) {
    this.settle();
    this.frames.push(frame);
  }

  pop() {
    this.settle();
    return this.frames.pop();
  }

  run() {
    const { text } = this;
    while (this.at < text.length) {
      SPECIAL.lastIndex = this.at;
      const found = SPECIAL.exec(text);
      const next = found ? found.index : text.length;
      if (next > this.at) this.put(text.slice(this.at, next));
      this.at = next;
      if (found && !this.step(found[0])) {
        this.put(text[this.at]);
        this.at += 1;
      }
    }
    while (this.frames.length > 1) this.flatten();
    this.settle();
  }

  /** Reads what begins here; `false` if it means nothing but itself. */
  step(mark) {
    if (mark === "\\") return this.escape();
    if (mark === "`") return this.code();
    if (mark === "*" || mark === "_" || mark === "~") return this.emphasis(mark);
    if (mark === "[" || mark === "!") return this.openLink(mark);
    if (mark === "]") return this.closeLink();
    if (mark === "<") return this.angle();
    if (mark === "&") return this.entity();
    if (mark === "$") return this.formula();
    if (mark === "\n") return this.node(el("br"), this.at + 1);
    return this.bareUrl();
  }

  node(node, end) {
    this.put(node);
    this.at = end;
    return true;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === "(" || next === "[") return this.between(2, next === "(" ? "\\)" : "\\]");
    if (!next || !PUNCTUATION.test(next)) return false;
    return this.node(next, this.at + 2);
  }

  /** A formula up to `close`, kept as it was written. */
  between(skip, close) {
    const start = this.at + skip;
    const end = this.unclosed.has(close) ? -1 : this.text.indexOf(close, start);
    if (end < 0) this.unclosed.add(close);
    if (end <= start) return false;
    const text = this.text.slice(this.at, end + close.length);
    return this.node(el("span", { class: "formula", text }), end + close.length);
  }

  formula() {
    if (this.text.startsWith("$$", this.at)) return this.between(2, "$$");
    // Two prices are no formula: it hugs its text, and no digit follows.
    const end = this.text.indexOf("$", this.at + 1);
    const inside = this.text.slice(this.at + 1, Math.max(end, this.at + 1));
    if (!inside || inside.trim() !== inside || inside.includes("\n")) return false;
    if (/\d/.test(this.text[end + 1] ?? "")) return false;
    const text = this.text.slice(this.at, end + 1);
    return this.node(el("span", { class: "formula", text }), end + 1);
  }

  code() {
    const run = this.runOf("`");
    const start = this.at + run;
    let end = this.unclosed.has(run) ? -1 : start;
    while (end >= 0) {
      end = this.text.indexOf("`", end);
      if (end < 0) break;
      let stop = end;
      while (this.text[stop] === "`") stop += 1;
      if (stop - end === run) break;
      end = stop;
    }
    if (end < 0) {
      this.unclosed.add(run);
      return this.node("`".repeat(run), start);
    }
    const inside = this.text.slice(start, end).replaceAll("\n", " ");
    const padded = inside.startsWith(" ") && inside.endsWith(" ") && inside.trim();
    return this.node(el("code", { text: padded ? inside.slice(1, -1) : inside }), end + run);
  }

  runOf(mark) {
    let end = this.at;
    while (this.text[end] === mark) end += 1;
    return end - this.at;
  }

  emphasis(mark) {
    const run = this.runOf(mark);
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + run] ?? " ";
    // Spaces alone decide: Chinese has none around its quotation marks, and is not to need them.
    let opens = !/\s/.test(after);
    let closes = !/\s/.test(before);
    if (mark === "_") {
      opens &&= !WORD.test(before);
      closes &&= !WORD.test(after);
    }
    if (mark === "~" ? run !== 2 : run > 3) return this.node(mark.repeat(run), this.at + run);
    this.at += run;
    let left = run;
    while (closes && left > 0) {
      const depth = this.openFrame(mark, left);
      if (depth < 0) break;
      while (this.frames.length - 1 > depth) this.flatten();
      const { marker, node } = this.pop();
      this.put(node);
      left -= marker.length;
    }
    while (opens && left > 0 && this.frames.length < FRAMES_MAX) {
      const marker = mark.repeat(Math.min(left, 2));
      this.push({ marker, node: el(EMPHASIS[marker]) });
      left -= marker.length;
    }
    this.put(mark.repeat(left));
    return true;
  }

  /** The frame that `left` marks close: one of just that length before others; -1 for none. */
  openFrame(mark, left) {
    let found = -1;
    for (let depth = this.frames.length - 1; depth > 0; depth -= 1) {
      const { marker } = this.frames[depth];
      if (marker === "[") break;
      if (marker[0] !== mark || marker.length > left) continue;
      if (marker.length === left) return depth;
      if (found < 0) found = depth;
    }
    return found;
  }

  openLink(mark) {
    if (mark === "!" && this.text[this.at + 1] !== "[") return false;
    const closable = this.lastLink > this.at && this.frames.length < FRAMES_MAX;
    if (!closable) return false;
    this.push({ marker: "[", written: mark === "!" ? "![" : "[", node: el("a") });
    this.at += mark === "!" ? 2 : 1;
    return true;
  }

  closeLink() {
    const depth = this.frames.findLastIndex((frame) => frame.marker === "[");
    if (depth < 0) return false;
    while (this.frames.length - 1 > depth) this.flatten();
    this.at += 1;
    const found = this.match(DESTINATION);
    const href = found && safeLink(found[1].replace(/^<|>$/g, ""));
    if (!href || this.top.holdsLink) {
      this.flatten();
      this.put("]");
      return true;
    }
    const { node } = this.pop();
    // A picture becomes a link to it: a page that loads it would tell its host who reads.
    this.put(link(href, node.firstChild ? contents(node) : found[1]));
    for (const frame of this.frames) frame.holdsLink = true;
    this.at += found[0].length;
    return true;
  }

  /** Takes back the innermost frame: its marker and what it holds become part of the one below. */
  flatten() {
    const { marker, written, node } = this.pop();
    this.put(written ?? marker, contents(node));
  }

  angle() {
    const found = this.match(BREAK);
    if (found) return this.node(el("br"), this.at + found[0].length);
    return this.url(this.match(ANGLED), (match) => match[1]);
  }

  bareUrl() {
    return this.url(this.match(URL_TEXT), (match) => {
      let text = match[0].replace(/[.,;:!?'_~]{1,9}$/, "");
      if (text.endsWith(")") && !text.includes("(")) text = text.slice(0, -1);
      match[0] = text;
      return text;
    });
  }

  url(match, read) {
    const inLink = this.frames.some((frame) => frame.marker === "[");
    const joined = /\w/.test(this.text[this.at - 1] ?? " ");
    const text = match && read(match);
    const href = text && !inLink && !joined && safeLink(text);
    return href ? this.node(link(href, text), this.at + match[0].length) : false;
  }

  entity() {
    const found = this.match(ENTITY);
    return found ? this.node(ENTITIES[found[1]], this.at + found[0].length) : false;
  }
}
