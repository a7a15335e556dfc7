// The column of messages: shows an answer as it grows, and keeps its end in view unless the
// reader has scrolled away from it.

import { byId } from "./dom.js";
import { forgetMessages, showMessages, showMore } from "./messages.js";

/** So near the end, in CSS pixels, counts as at the end. */
const NEAR = 60;
/** A frame takes at most this share of the time: the rest is for the reader's scrolling. */
const SHARE = 0.25;

let following = true;
let growing = null;
let frame = 0;
let earliest = 0;

/** Makes scrolling work. */
export function startLog() {
  const scroller = byId("scroller");
  let before = 0;
  scroller.addEventListener("scroll", () => {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    // Only the reader goes up. That the end is far may just mean that the answer grew meanwhile.
    if (scrollHeight - scrollTop - clientHeight < NEAR) following = true;
    else if (scrollTop < before) following = false;
    before = scrollTop;
    byId("latest").hidden = following;
  });
  byId("latest").addEventListener("click", toEnd);
  new ResizeObserver(() => following && jump()).observe(byId("log"));
}

function jump() {
  const scroller = byId("scroller");
  scroller.scrollTop = scroller.scrollHeight;
}

/** Goes to the end and stays there. */
export function toEnd() {
  following = true;
  byId("latest").hidden = true;
  jump();
}

/** Shows all messages of `conversation`. */
export function showLog(conversation, running, actions) {
  growing = null;
  byId("main").classList.toggle("busy", running);
  byId("main").classList.toggle("empty", conversation.messages.length === 0);
  showMessages(byId("log"), conversation, actions);
}

/** Shows `message` again soon, as it has grown. */
export function grow(message) {
  growing = message;
  frame ||= requestAnimationFrame(draw);
}

function draw(now) {
  frame = 0;
  if (!growing) return;
  if (now < earliest) {
    frame = requestAnimationFrame(draw);
    return;
  }
  const began = performance.now();
  showMore(growing);
  const spent = performance.now() - began;
  earliest = began + spent / SHARE;
}

/** Empties the column. */
export const clearLog = () => forgetMessages();
