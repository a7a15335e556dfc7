// Markdown to DOM nodes: what models write, not all that CommonMark allows. A line end is a line
// break; HTML is text. A text that grows is shown again only from its first changed block on.

import { fillCode, codeBlock } from "./code.js";
import { contents, el } from "./dom.js";
import { inline } from "./inline.js";
import { t } from "./text.js";

const FENCE = /^([ \t]*)(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?=\s|$)/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^([ \t]*)([-*+]|\d{1,9}[.)])(?:[ \t]+|$)/;
const COLUMNS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const TASK = /^\[([ xX])\][ \t]/;
/** Lists and quotes nest this deep; what lies deeper is a paragraph. */
const DEPTH_MAX = 12;

/** Shows a text in `node`, and shows it again as it grows. */
export class Prose {
  constructor(node) {
    this.node = node;
    this.text = "";
    this.blocks = [];
  }

  /** Shows `text`. Blocks that are as they were keep their nodes, and with them the selection. */
  show(text) {
    if (text === this.text) return;
    this.text = text;
    const blocks = parse(text);
    const old = this.blocks;
    let same = 0;
    while (same < old.length && same < blocks.length && old[same].raw === blocks[same].raw) {
      blocks[same] = old[same];
      same += 1;
    }
    const grows = blocks[same]?.code && old[same]?.code?.name === blocks[same].code.name;
    if (grows) {
      blocks[same].node = old[same].node;
      fillCode(old[same].node, blocks[same].code);
    }
    for (const block of old.slice(grows ? same + 1 : same)) block.node.remove();
    for (const block of blocks.slice(grows ? same + 1 : same)) {
      block.node = block.build();
      this.node.append(block.node);
    }
    this.blocks = blocks;
  }
}

/** The blocks of `text`: each with its `raw` lines, on which alone depends what `build` makes. */
function parse(text) {
  return parseLines(text.replace(/\r\n?/g, "\n").split("\n"), 0);
}

function parseLines(lines, depth) {
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const block = blockAt(lines, at, depth);
    block.raw = lines.slice(at, block.end).join("\n");
    blocks.push(block);
    at = block.end;
  }
  return blocks;
}

const build = (lines, depth) => parseLines(lines, depth).map((block) => block.build());

function blockAt(lines, at, depth) {
  return (
    fence(lines, at) ??
    heading(lines, at) ??
    rule(lines, at) ??
    formula(lines, at) ??
    (depth < DEPTH_MAX ? (quote(lines, at, depth) ?? list(lines, at, depth)) : null) ??
    table(lines, at) ??
    paragraph(lines, at)
  );
}

/** Whether a paragraph ends before this line. */
function interrupts(lines, at) {
  const line = lines[at];
  if (!line.trim() || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const item = ITEM.exec(line);
  // A number that happens to begin a line is no list; a list begins with 1.
  if (item && item[0].length < line.length && !/^(?!1[.)])\d/.test(item[2])) return true;
  return FENCE.test(line) || tableHead(lines, at) !== null;
}

function fence(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open) return null;
  const [, indent, marks, info] = open;
  const margin = new RegExp(`^[ \\t]{0,${Math.min(indent.length, 99)}}`);
  const text = [];
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end].trim();
    if (line.length >= marks.length && line === marks[0].repeat(line.length)) break;
    text.push(lines[end].replace(margin, ""));
  }
  const code = { name: info.trim().split(/\s/)[0], text: text.join("\n") };
  return { end: Math.min(end + 1, lines.length), code, build: () => codeBlock(code) };
}

function heading(lines, at) {
  const found = HEADING.exec(lines[at]);
  if (!found) return null;
  const words = lines[at].slice(found[0].length).trim();
  const text = words.endsWith("#") ? words.replace(/(^|\s)#{1,99}$/, "") : words;
  // The page's own headings stand above an answer's.
  const tag = `h${Math.min(found[1].length + 1, 6)}`;
  const level = `level-${found[1].length}`;
  return { end: at + 1, build: () => el(tag, { class: level }, inline(text)) };
}

function rule(lines, at) {
  return RULE.test(lines[at]) ? { end: at + 1, build: () => el("hr") } : null;
}

/** A displayed formula, as it was written. */
function formula(lines, at) {
  const first = lines[at].trim();
  const close = first.startsWith("$$") ? "$$" : first.startsWith("\\[") ? "\\]" : null;
  if (!close) return null;
  for (let end = at; end < lines.length && lines[end].trim(); end += 1) {
    const line = lines[end].trim();
    if (!line.endsWith(close) || (end === at && line.length < 4)) continue;
    const text = lines.slice(at, end + 1).map((part) => part.trim()).join("\n");
    return { end: end + 1, build: () => el("p", { class: "formula", text }) };
  }
  return null;
}

function quote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  if (end === at) return null;
  const inside = () => lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return { end, build: () => el("blockquote", {}, build(inside(), depth + 1)) };
}

function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const ordered = /\d/.test(first[2]);
  const indent = first[1].length;
  const items = [];
  let end = at;
  let loose = false;
  while (end < lines.length) {
    const found = ITEM.exec(lines[end]);
    const fits = found && found[1].length <= indent + 1 && /\d/.test(found[2]) === ordered;
    if (!fits || RULE.test(lines[end])) break;
    const item = itemAt(lines, end, found);
    loose ||= items.length > 0 && !lines[end - 1].trim();
    items.push(item.lines);
    end = item.end;
  }
  // Blank lines before the next block are not the list's.
  while (!lines[end - 1].trim()) end -= 1;
  const start = ordered ? Number.parseInt(first[2], 10) : null;
  const props = { start: start === 1 ? null : start };
  const nodes = () => items.map((inside) => listItem(inside, loose, depth));
  return { end, build: () => el(ordered ? "ol" : "ul", props, nodes()) };
}

/** The lines of the item that begins at `at`, without their indent, and where it ends. */
function itemAt(lines, at, found) {
  const inside = [lines[at].slice(found[0].length)];
  const indent = found[1].length + 2;
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    const width = line.length - line.trimStart().length;
    const goesOn = lines[end - 1].trim() && !ITEM.test(line) && !interrupts(lines, end);
    if (line.trim() && width < indent && !goesOn) break;
    inside.push(line.slice(Math.min(width, found[0].length)));
  }
  return { lines: inside, end };
}

function listItem(lines, loose, depth) {
  const task = TASK.exec(lines[0]);
  const checked = task && task[1] !== " ";
  const label = t(checked ? "taskDone" : "taskOpen");
  const props = { type: "checkbox", disabled: true, checked, "aria-label": label };
  const box = task && el("input", props);
  const rest = task ? [lines[0].slice(task[0].length), ...lines.slice(1)] : lines;
  const item = el("li", { class: task ? "task" : "" }, box);
  for (const node of build(rest, depth + 1)) {
    if (node.tagName === "P" && !loose && !node.className) item.append(contents(node));
    else item.append(node);
  }
  return item;
}

/** The alignments of the table whose first row stands at `at`; `null` if there is none. */
function tableHead(lines, at) {
  const next = lines[at + 1];
  if (!next?.includes("-") || !next.includes("|") || !lines[at].includes("|")) return null;
  if (!COLUMNS.test(next)) return null;
  const columns = cells(next).map((cell) => {
    if (!cell.endsWith(":")) return "";
    return cell.startsWith(":") ? "center" : "right";
  });
  return cells(lines[at]).length === columns.length ? columns : null;
}

function table(lines, at) {
  const columns = tableHead(lines, at);
  if (!columns) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|") && lines[end].trim()) end += 1;
  const row = (line, tag) => {
    const texts = cells(line);
    return el("tr", {}, columns.map((align, index) => {
      return el(tag, { class: align }, inline(texts[index] ?? ""));
    }));
  };
  const head = () => el("thead", {}, row(lines[at], "th"));
  const body = () => el("tbody", {}, lines.slice(at + 2, end).map((line) => row(line, "td")));
  const whole = () => el("div", { class: "table" }, el("table", {}, head(), body()));
  return { end, build: whole };
}

/** The texts between the bars of a row; a bar in code or after a backslash is no border. */
function cells(line) {
  const row = line.trim().replace(/^\|/, "");
  const found = [""];
  let code = false;
  for (let at = 0; at < row.length; at += 1) {
    if (row[at] === "`") code = !code && row.indexOf("`", at + 1) > 0;
    if (row[at] === "|" && !code) {
      found.push("");
      continue;
    }
    if (row[at] === "\\" && row[at + 1] === "|") at += 1;
    found[found.length - 1] += row[at];
  }
  if (!found.at(-1).trim()) found.pop();
  return found.map((cell) => cell.trim());
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && !interrupts(lines, end)) end += 1;
  const text = () => lines.slice(at, end).map((line) => line.trim()).join("\n");
  return { end, build: () => el("p", {}, inline(text())) };
}
