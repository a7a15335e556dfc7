// The server's side of a conversation: its models, and an answer as a stream of chunks.

const KEY = "baimo.key";
/** Below the page's own address, so that the page also works behind a proxy's path. */
const address = (path) => new URL(path, document.baseURI);

/** The key this tab uses, or the empty text. It ends with the tab. */
export const accessKey = () => sessionStorage.getItem(KEY) ?? "";
export const setAccessKey = (key) => sessionStorage.setItem(KEY, key);

/** What the server said no with. `after` is its wish in seconds, where it has one. */
export class Refused extends Error {
  constructor(status, error, after) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.type = error.type ?? "";
    this.param = error.param ?? "";
    this.code = error.code ?? "";
    this.after = after;
  }
}

/** There was no answer at all, or it ended before its end (`begun`). */
export class Broken extends Error {
  constructor(begun) {
    super(begun ? "the stream ended early" : "no connection");
    this.begun = begun;
  }
}

async function request(path, options) {
  const key = accessKey();
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(address(path), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Broken(false);
  }
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  throw new Refused(response.status, errorIn(text), waitOf(response));
}

/** The error in a body: the API's object, or whatever a proxy on the way wrote instead. */
function errorIn(text) {
  try {
    const { error } = JSON.parse(text);
    if (error) return typeof error === "string" ? { message: error } : error;
  } catch {
    // Not JSON: its beginning is all there is to show.
  }
  return { message: text.trim().slice(0, 300) };
}

function waitOf(response) {
  const after = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  return Number.isFinite(after) && after >= 0 ? after : null;
}

/** The names of the models that the server has. */
export async function models() {
  const response = await request("v1/models", { cache: "no-store" });
  const { data } = await response.json();
  return data.map((model) => model.id);
}

/** The chunks of an answer to `body`. Throws `Refused`, `Broken` or the abort of `signal`. */
export async function* chat(body, signal) {
  const options = { method: "POST", body: JSON.stringify(body), signal };
  const response = await request("v1/chat/completions", options);
  let finished = false;
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Refused(response.status, chunk.error, null);
      finished ||= Boolean(chunk.choices?.[0]?.finish_reason);
      yield chunk;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Refused) throw error;
    if (!finished) throw new Broken(true);
  }
  if (!finished) throw new Broken(true);
}

/** The data of each server-sent event in a body, wherever the network cut it. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      // Servers that forget the empty line after their last event are understood too.
      const lines = (done ? `${rest}\n\n` : rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        }
      }
      if (done) return;
    }
  } finally {
    // Whoever stops reading also stops the server from computing.
    await reader.cancel().catch(() => {});
  }
}
