// Every word the page shows, in English and Chinese, and the choice between them.

const WORDS = {
  // Frame
  newChat: ["New chat", "新对话"],
  conversations: ["Conversations", "对话列表"],
  none: ["No conversations yet", "还没有对话"],
  open: ["Open the list of conversations", "打开对话列表"],
  close: ["Close", "关闭"],
  language: ["Language", "语言"],
  importFile: ["Import", "导入"],
  exportAll: ["Export all", "全部导出"],
  model: ["Model", "模型"],
  noModel: ["no model", "没有模型"],
  settings: ["Settings", "设置"],
  more: ["This conversation", "此对话"],
  rename: ["Rename", "重命名"],
  remove: ["Delete", "删除"],
  exportMarkdown: ["Export as Markdown", "导出为 Markdown"],
  exportJson: ["Export as JSON", "导出为 JSON"],
  greeting: ["What is on your mind?", "想聊点什么？"],
  kept: ["Conversations are kept in this browser only.", "对话只保存在此浏览器中。"],
  latest: ["Go to the latest message", "回到最新消息"],

  // Writing
  prompt: ["Message", "消息"],
  promptHint: ["Ask anything", "输入消息"],
  keysHint: [
    "Enter sends · Shift+Enter new line · Esc stops",
    "Enter 发送 · Shift+Enter 换行 · Esc 停止",
  ],
  send: ["Send", "发送"],
  stop: ["Stop", "停止"],
  thinking: ["Thinking", "思考"],
  auto: ["Auto", "自动"],
  on: ["On", "开"],
  off: ["Off", "关"],

  // Messages
  you: ["You", "你"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  edit: ["Edit", "编辑"],
  cancel: ["Cancel", "取消"],
  editHint: [
    "Sending replaces all that follows this message.",
    "发送后，此消息之后的内容将被替换。",
  ],
  retry: ["Retry", "重试"],
  reading: ["Reading the prompt", "正在读取提示"],
  thinkingNow: ["Thinking", "正在思考"],
  thought: ["Thought for {seconds}", "已思考 {seconds}"],
  thoughtOnly: ["Thoughts", "思考过程"],
  seconds: ["{n} s", "{n} 秒"],
  answered: ["The answer is complete", "回答完毕"],
  stopped: ["Stopped", "已停止"],
  cutShort: ["Cut at the token limit", "已达 token 上限"],
  filtered: ["Ended by the content filter", "已被内容过滤器结束"],
  speed: ["{n} tokens/s", "{n} token/秒"],
  promptCount: ["prompt {n}", "提示 {n}"],
  cachedCount: ["{n} cached", "{n} 来自缓存"],
  answerCount: ["answer {n}", "回答 {n}"],
  thoughtCount: ["{n} thinking", "{n} 用于思考"],
  firstToken: ["first token after {seconds}", "首个 token 用时 {seconds}"],
  code: ["code", "代码"],
  taskDone: ["Done", "已完成"],
  taskOpen: ["Not done", "未完成"],

  // Tools
  callsTool: ["Tool call", "工具调用"],
  result: ["Result", "结果"],
  resultOf: ["Result of {name}", "{name} 的结果"],
  resultHint: ["Paste what the tool returned", "粘贴工具返回的内容"],
  sendResults: ["Send and go on", "发送并继续"],
  resultsFirst: [
    "The model waits for a tool's result: paste it, or retry.",
    "模型正在等待工具结果：请粘贴结果，或重试。",
  ],

  // Settings
  inherit: [
    "They belong to this conversation; a new one begins with the same.",
    "属于当前对话；新对话会沿用这些设置。",
  ],
  system: ["System prompt", "系统提示"],
  systemHint: ["How the model should behave", "希望模型如何表现"],
  sampling: ["Sampling", "采样"],
  asModel: ["model's own", "模型默认"],
  temperature: ["Temperature", "温度"],
  top_p: ["Top P", "Top P"],
  top_k: ["Top K", "Top K"],
  max_tokens: ["Tokens at most", "最多 token 数"],
  seed: ["Seed", "随机种子"],
  format: ["Answer format", "回答格式"],
  formatText: ["Text", "文本"],
  formatObject: ["A JSON object", "JSON 对象"],
  formatSchema: ["JSON by a schema", "按 JSON Schema"],
  schema: ["JSON schema", "JSON Schema"],
  tools: ["Tools", "工具"],
  toolsNote: [
    "A JSON list of functions. Calls are shown to you; you answer them.",
    "函数的 JSON 列表。调用会显示给你，由你填写结果。",
  ],
  choice: ["Are they called?", "是否调用"],
  choiceAuto: ["As the model decides", "由模型决定"],
  choiceRequired: ["Always", "总是"],
  choiceNone: ["Never", "从不"],
  reset: ["Reset all", "全部重置"],
  accessKey: ["Access key", "访问密钥"],
  toolCount: ["Tools: {n}", "工具：{n}"],

  // Dialogs
  keyAsked: ["This server asks for a key", "此服务器需要密钥"],
  keyNote: ["It is kept until this tab is closed.", "仅保留到此标签页关闭。"],
  keyWrong: ["The server did not accept this key.", "服务器不接受此密钥。"],
  useKey: ["Use this key", "使用此密钥"],
  removeAsked: ["Delete this conversation?", "删除此对话？"],
  removeNote: ["“{title}” cannot be brought back.", "“{title}”删除后无法恢复。"],
  title: ["Title", "标题"],
  save: ["Save", "保存"],

  // What goes wrong
  failed: ["The server refused", "服务器拒绝了请求"],
  offline: ["The server cannot be reached", "无法连接服务器"],
  offlineHint: ["Is `baimo serve` still running?", "`baimo serve` 还在运行吗？"],
  broken: ["The answer broke off", "回答中断"],
  brokenHint: [
    "The connection ended before the answer did. What arrived is kept.",
    "连接在回答完成前断开，已收到的内容会保留。",
  ],
  full: ["The server is full", "服务器繁忙"],
  again: ["Next try in {seconds}", "{seconds}后重试"],
  field: ["field {name}", "字段 {name}"],
  retryAfter: ["Try again in {seconds}.", "请在{seconds}后重试。"],
  notJson: ["Not JSON: {problem}", "不是有效的 JSON：{problem}"],
  notNumber: ["A number from {min} to {max} is wanted", "应为 {min} 到 {max} 之间的数"],
  notWhole: ["A whole number from {min} on is wanted", "应为不小于 {min} 的整数"],
  notObject: ["A JSON object is wanted", "应为 JSON 对象"],
  notTools: [
    "A list of functions is wanted, each with a name",
    "应为函数列表，每个函数都要有名称",
  ],
  storageFull: [
    "This browser's storage is full: export or delete conversations.",
    "浏览器存储已满：请导出或删除对话。",
  ],
  importBad: ["Nothing was imported: {problem}", "未导入任何内容：{problem}"],
  imported: ["Imported: {n}", "已导入：{n}"],
};

const LANGUAGES = ["en", "zh"];
const KEPT = "baimo.language";
const wanted = localStorage.getItem(KEPT) ?? navigator.language.slice(0, 2).toLowerCase();
let current = Math.max(0, LANGUAGES.indexOf(wanted));

/** The language in use: `en` or `zh`. */
export const language = () => LANGUAGES[current];

/** Uses `code` from now on, also in later visits. */
export function setLanguage(code) {
  current = Math.max(0, LANGUAGES.indexOf(code));
  localStorage.setItem(KEPT, language());
}

/** The words for `key`, with each `{name}` replaced by `values.name`. */
export function t(key, values = {}) {
  return WORDS[key][current].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** A count as the language writes it. */
export const count = (n) => new Intl.NumberFormat(language()).format(n);

/** A span of time in seconds, with one decimal below ten. */
export const seconds = (n) => t("seconds", { n: n < 9.95 ? n.toFixed(1) : String(Math.round(n)) });

/** Fills in the words of the elements below `root` that name them in `data-` attributes. */
export function fillWords(root) {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of root.querySelectorAll("[data-hint]")) node.placeholder = t(node.dataset.hint);
  for (const node of root.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", t(node.dataset.label));
    if (node.matches("button")) node.title = t(node.dataset.label);
  }
}
