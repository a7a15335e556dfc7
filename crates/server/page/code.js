// Blocks of code: their frame, a button to copy them, and a light colouring. The colouring knows
// what a comment, a string, a number and a keyword look like in most languages, and no grammar.

import { copyButton, el } from "./dom.js";
import { t } from "./text.js";

const words = (text) => new Set(text.split(" "));

const C_LIKE = words(
  "abstract as async auto await bool boolean break byte case catch char class const constexpr " +
    "continue debugger default delete do double else enum explicit export extends extern false " +
    "final finally float for foreach from func function get goto if implements import in inline " +
    "instanceof int interface internal is let long namespace new null nullptr of operator " +
    "override package private protected public readonly record return sealed set short signed " +
    "sizeof static string struct super switch template this throw throws true try typedef " +
    "typename typeof undefined union unsigned using val var virtual void volatile when while " +
    "with yield chan defer go map range select type fallthrough nil guard protocol fun",
);
const RUST = words(
  "as async await bool break const continue crate dyn else enum extern f32 f64 false fn for i16 " +
    "i32 i64 i8 if impl in isize let loop match mod move mut pub ref return self Self static str " +
    "String struct super trait true type u16 u32 u64 u8 unsafe use usize where while Option " +
    "Result Some None Ok Err Vec",
);
const PYTHON = words(
  "and as assert async await break case class continue def del elif else except False finally " +
    "for from global if import in is lambda match None nonlocal not or pass raise return self " +
    "True try while with yield",
);
const SHELL = words(
  "alias case cd do done echo elif else esac exit export fi for function if in local read " +
    "return set shift source then unset until while sudo",
);
const SQL = words(
  "add all alter and as asc between by case column constraint create cross delete desc distinct " +
    "drop else end exists foreign from full group having in index inner insert into is join key " +
    "left like limit not null offset on or order outer primary references right select set " +
    "table then union unique update using values view when where with int integer text varchar",
);
const DATA = words("true false null yes no on off");

const SLASHES = String.raw`\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?`;
const HASH = String.raw`(?<![\w$])#[^\n]*`;
const STRINGS = String.raw`"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?`;
const BACKTICK = "|`(?:\\\\[^]|[^`\\\\])*`?";
const TRIPLE = String.raw`"""(?:[^"]|"(?!""))*(?:""")?|'''(?:[^']|'(?!''))*(?:''')?|`;
// A lifetime is no string: it has no second quote.
const RUST_STRINGS = String.raw`"(?:\\[^]|[^"\\])*"?|'(?:\\[^'\n]{1,9}|[^'\\\n])'`;
const NUMBER = String.raw`\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)\w*`;
const NAME = String.raw`[\p{L}_$][\p{L}\p{N}_$]*`;

const rules = (comment, string, known, fold = false) => ({
  pattern: new RegExp(`(?<c>${comment})|(?<s>${string})|(?<n>${NUMBER})|(?<w>${NAME})`, "gu"),
  known,
  fold,
});
const c = rules(SLASHES, STRINGS + BACKTICK, C_LIKE);
const python = rules(HASH, TRIPLE + STRINGS, PYTHON);
const shell = rules(HASH, STRINGS, SHELL);
const data = rules(HASH, STRINGS, DATA);
const markup = rules("<!--(?:[^-]|-(?!->))*(?:-->)?", STRINGS, new Set());

const LANGUAGES = {
  __proto__: null,
  rust: rules(SLASHES, RUST_STRINGS, RUST),
  python,
  shell,
  sql: rules(String.raw`--[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?`, STRINGS, SQL, true),
  data,
  markup,
  c,
};
const NAMES = {
  __proto__: null,
  rs: "rust", py: "python", python3: "python", sh: "shell", bash: "shell", zsh: "shell",
  console: "shell", fish: "shell", dockerfile: "shell", makefile: "shell", json: "data",
  jsonc: "data", yaml: "data", yml: "data", toml: "data", ini: "data", html: "markup",
  xml: "markup", svg: "markup", vue: "markup", ruby: "python", rb: "python", r: "python",
};
for (const name of "js javascript mjs ts typescript jsx tsx c h cpp c++ cc hpp java kotlin kt " .
  concat("swift go golang cs csharp c# php dart scala css scss less zig cuda glsl").split(" ")) {
  NAMES[name] = "c";
}
const CLASSES = { c: "comment", s: "string", n: "number" };
/** Longer code stays plain: nobody reads it for its colours. */
const COLOURED_MAX = 100_000;

/** A frame with `code.text` in it; `code.name` is the language as its author wrote it. */
export function codeBlock(code) {
  const inside = el("code", {});
  const copy = copyButton(t("copy"), t("copied"), () => inside.textContent);
  const label = el("figcaption", {}, el("span", { text: code.name || t("code") }), copy);
  const block = el("figure", { class: "code" }, label, el("pre", {}, inside));
  fillCode(block, code);
  return block;
}

/** What was coloured in a frame: its `text`, and each span with the `end` of its text. */
const shown = new WeakMap();
/** A token this far from the end of a text stays as it is, whatever is written next. */
const SETTLED = 16;

/** Shows `code` in a frame that `codeBlock` made: of a text that grew, only what is new. */
export function fillCode(block, { name, text }) {
  const node = block.querySelector("code");
  const language = languageOf(name.toLowerCase());
  if (!language || text.length > COLOURED_MAX) {
    shown.delete(node);
    node.replaceChildren(...(language === null ? changes(text) : [text]));
    return;
  }
  const before = shown.get(node);
  const spans = before && text.startsWith(before.text) ? before.spans : [];
  while (spans.length && spans.at(-1).end > before.text.length - SETTLED) spans.pop();
  const last = spans.at(-1);
  if (!last) node.replaceChildren();
  while (last && node.lastChild !== last.node) node.lastChild.remove();
  colour(node, text, language, spans);
  shown.set(node, { text, spans });
}

/** The rules for the language of this name; `null` for changes, which are told by lines. */
function languageOf(name) {
  return name === "diff" || name === "patch" ? null : LANGUAGES[NAMES[name] ?? name];
}

/** Adds `text` to `node` from the end of the last of `spans` on, and the new spans to those. */
function colour(node, text, language, spans) {
  const { pattern } = language;
  let end = spans.at(-1)?.end ?? 0;
  pattern.lastIndex = end;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const kind = kindOf(match, language, text);
    if (!kind) continue;
    const span = el("span", { class: kind, text: match[0] });
    node.append(text.slice(end, match.index), span);
    end = match.index + match[0].length;
    spans.push({ node: span, end });
  }
  node.append(text.slice(end));
}

function kindOf(match, language, text) {
  const word = match.groups.w;
  if (word === undefined) {
    return CLASSES[Object.keys(CLASSES).find((key) => match.groups[key] !== undefined)];
  }
  if (language.known.has(language.fold ? word.toLowerCase() : word)) return "keyword";
  const next = text[match.index + word.length];
  if (language === markup) return /[</]/.test(text[match.index - 1] ?? "") ? "keyword" : null;
  return next === "(" ? "called" : null;
}

function changes(text) {
  return text.split(/(?<=\n)/).map((line) => {
    const kind = { "+": "added", "-": "removed", "@": "comment" }[line[0]];
    return kind ? el("span", { class: kind, text: line }) : line;
  });
}
