// Shows times in the reader's own zone, and whether the page follows what happens.
"use strict";

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const dayAndYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

function localise(root) {
  const now = new Date();
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const date = at.getFullYear() === now.getFullYear() ? day : dayAndYear;
    const today = at.toDateString() === now.toDateString();
    const text = (today ? "" : date.format(at) + ", ") + time.format(at);
    if (element.textContent !== text) element.textContent = text;
    element.title = full.format(at);
  }
}

const words = { live: "live", lost: "connection lost, trying again", waiting: "connecting" };

function say(state) {
  const pulse = document.getElementById("pulse");
  if (pulse === null || pulse.dataset.state === state) return;
  pulse.dataset.state = state;
  pulse.textContent = words[state];
}

localise(document);
// Runs before what was put in is painted, so that no time is seen in UTC first.
new MutationObserver(() => localise(document)).observe(document.body, { childList: true, characterData: true, subtree: true });
document.addEventListener("htmx:sse:after:connection", () => say("live"));
document.addEventListener("htmx:sse:error", () => say("lost"));
document.addEventListener("htmx:sse:close", () => say("lost"));
document.addEventListener("htmx:sse:before:connection", (event) => {
  if (event.detail.connection.attempt > 0) say("lost");
});
