// Running one answer: chunks become a message, and what goes wrong is written down in it.

import { Broken, Refused, chat } from "./stream.js";
import { newId } from "./store.js";

/** Tries again by itself after "full" this often, and never waits longer than this. */
const TRIES_MAX = 8;
const WAIT_MAX = 60;

/** An answer that nothing has arrived of yet. */
export function emptyAnswer(model) {
  const meta = { model, state: "waiting" };
  return { role: "assistant", content: "", reasoning_content: "", tool_calls: [], meta };
}

/**
 * Fills `message` with the answer to `body`, calling `changed` after each chunk. Returns when it
 * is done, stopped by `signal` or failed, which `message.meta` tells; throws only a refusal for
 * want of a key.
 */
export async function answer(message, body, signal, changed) {
  const { meta } = message;
  const clock = { began: performance.now() };
  meta.began = Date.now();
  try {
    await withPatience(meta, signal, changed, async () => {
      for await (const chunk of chat(body, signal)) {
        absorb(message, chunk, clock);
        changed();
      }
    });
    finish(message, "done");
  } catch (error) {
    if (error instanceof Refused && error.status === 401) throw error;
    if (signal.aborted) finish(message, "stopped");
    else fail(message, error);
  } finally {
    delete meta.retryAt;
    measure(meta, clock);
    changed();
  }
}

/** Runs `attempt` again, after the time the server asks for, as long as the server is full. */
async function withPatience(meta, signal, changed, attempt) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      const full = error instanceof Refused && error.status === 429;
      const wait = error.after ?? 2 * tries;
      if (!full || tries === TRIES_MAX || wait > WAIT_MAX) throw error;
      meta.retryAt = Date.now() + wait * 1000;
      changed();
      await pause(wait * 1000, signal);
      delete meta.retryAt;
      changed();
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

function absorb(message, chunk, clock) {
  const { meta } = message;
  if (chunk.model) meta.model = chunk.model;
  if (chunk.usage) meta.usage = chunk.usage;
  if (chunk.timings) meta.rate = chunk.timings.predicted_per_second;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  if (choice.finish_reason) meta.finish = choice.finish_reason;
  const delta = choice.delta ?? {};
  const thought = delta.reasoning_content ?? delta.reasoning ?? "";
  const content = delta.content ?? "";
  const calls = delta.tool_calls ?? [];
  if (!thought && !content && !calls.length) return;
  const now = performance.now();
  clock.first ??= now;
  clock.last = now;
  if (thought) {
    clock.thinking ??= now;
    if (meta.state === "waiting") meta.state = "thinking";
    message.reasoning_content += thought;
  }
  if (content || calls.length) {
    if (clock.thinking && !meta.thought) meta.thought = (now - clock.thinking) / 1000;
    meta.state = "writing";
  }
  message.content += content;
  for (const call of calls) absorbCall(message.tool_calls, call);
}

function absorbCall(calls, { index = 0, id, function: part = {} }) {
  calls[index] ??= { id: id || `call_${newId()}`, function: { name: "", arguments: "" } };
  if (id) calls[index].id = id;
  calls[index].function.name += part.name ?? "";
  calls[index].function.arguments += part.arguments ?? "";
}

function finish(message, state) {
  message.meta.state = state;
  // A call that was cut off is none: its arguments are half a text.
  const whole = state === "done" && message.meta.finish !== "length";
  message.tool_calls = whole ? message.tool_calls.filter(Boolean) : [];
}

function fail(message, error) {
  const { meta } = message;
  finish(message, error instanceof Broken && error.begun ? "broken" : "failed");
  if (error instanceof Refused) {
    const { status, type, param, code, after } = error;
    meta.error = { message: error.message, status, type, param, code, after };
  } else if (meta.state === "failed") {
    meta.error = error instanceof Broken ? { offline: true } : { message: String(error) };
  }
}

/** Notes how long it took. The first token's time is the prompt's, so it is no part of the rate. */
function measure(meta, { began, first, last, thinking }) {
  if (first === undefined) return;
  meta.first = (first - began) / 1000;
  if (thinking && !meta.thought) meta.thought = (last - thinking) / 1000;
  if (meta.rate) return;
  const tokens = (meta.usage?.completion_tokens ?? 0) - 1;
  if (tokens > 0 && last > first) meta.rate = tokens / ((last - first) / 1000);
}
