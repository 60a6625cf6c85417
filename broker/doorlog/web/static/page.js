// What the pages do beyond HTML: local times, numbers that refresh, live rows, keys, copying. All text goes in as text.
"use strict";

const MOST_ROWS = 200;
const NUMBERS_EVERY_MS = 10_000;
const ENOUGH_ROWS = 100;
const MOST_LOOKS = 8; // each of them a bounded part of the log, together about a gigabyte

// Made once: making one takes longer than everything else that a row needs.
const CLOCK = new Intl.DateTimeFormat([], { timeStyle: "medium", hour12: false });
const CALENDAR = new Intl.DateTimeFormat([], { dateStyle: "medium", timeStyle: "short", hour12: false });

function localTimes(root) {
  const today = new Date().toDateString();
  for (const time of root.querySelectorAll("time[datetime]:not([data-done])")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    time.title = time.dateTime;
    time.dataset.done = "1";
    time.textContent = (today === moment.toDateString() ? CLOCK : CALENDAR).format(moment);
  }
}

let retrying;

async function fetchPart(place) {
  clearTimeout(retrying);
  try {
    const answer = await fetch(place.dataset.part, { headers: { Accept: "text/html" } });
    const retry = Number(answer.headers.get("Retry-After"));
    if (retry) {
      retrying = setTimeout(fetchPart, 1_000 * retry, place);
      if (place.querySelector("section")) return; // what is there may stay until then
    } else if (!answer.ok) return;
    const openBefore = [...place.querySelectorAll("details")].map((one) => one.open);
    place.innerHTML = await answer.text(); // made and escaped by our own server
    place.querySelectorAll("details").forEach((one, number) => { one.open = openBefore[number] ?? false; });
    localTimes(place);
  } catch { /* the next time */ }
}

function keepFresh(place) {
  const again = () => { if (!document.hidden && !place.contains(document.activeElement)) fetchPart(place); };
  fetchPart(place);
  if (place.dataset.once === undefined) setInterval(again, NUMBERS_EVERY_MS);
}

function addRow(table, template, row) {
  const line = template.content.cloneNode(true).firstElementChild;
  const [when, what, device, message] = line.children;
  line.dataset.sequence = row.sequence;
  line.className = "fresh";
  when.firstElementChild.dateTime = row.time;
  when.firstElementChild.textContent = row.time;
  what.firstElementChild.href = row.link;
  const state = what.querySelector(".state");
  state.classList.add(row.state);
  state.textContent = row.what;
  if (row.device) {
    const link = document.createElement("a");
    link.href = "/device/" + encodeURIComponent(row.device);
    link.textContent = row.shown;
    device.append(link, row.is_sure ? "" : "?");
  } else if (row.candidates) {
    device.textContent = row.candidates;
  }
  message.textContent = row.message;
  table.tBodies[0].prepend(line);
}

function live(table) {
  const template = document.getElementById("row");
  const sign = document.getElementById("live");
  const pause = document.getElementById("pause");
  const missed = document.getElementById("missed");
  let waiting = [];
  let left = 0;
  let broken = false;
  const newest = () => Number(table.tBodies[0].rows[0]?.dataset.sequence ?? 0);
  const show = () => {
    const known = newest();
    for (const row of waiting) if (row.sequence > known || !row.sequence) addRow(table, template, row);
    waiting = [];
    while (table.tBodies[0].rows.length > MOST_ROWS) table.tBodies[0].lastElementChild.remove();
    localTimes(table);
    missed.hidden = !left;
    missed.textContent = left ? `${left} more records came than can be shown; filter, or use doorlog tail` : "";
  };
  const paused = () => pause.getAttribute("aria-pressed") === "true";
  const source = new EventSource(table.dataset.events);
  source.onopen = () => {
    if (broken && !paused()) location.reload(); // what came meanwhile is in the page, then
    sign.textContent = "live";
    sign.className = "state ok";
    pause.hidden = false;
  };
  source.onerror = () => { broken = true; sign.textContent = "not live"; sign.className = "state bad"; };
  source.onmessage = (event) => {
    const news = JSON.parse(event.data);
    waiting = waiting.concat(news.rows).slice(-MOST_ROWS);
    left += news.left_out;
    if (paused()) pause.textContent = `Go on (${waiting.length} new)`; else show();
  };
  pause.onclick = () => {
    pause.setAttribute("aria-pressed", String(!paused()));
    pause.textContent = paused() ? "Go on" : "Pause";
    if (!paused()) show();
  };
}

// What passes the filters may be far back: the page is there at once, and looks further by itself, part by part.
async function lookFurther(table) {
  const sign = document.createElement("span");
  const stop = document.createElement("button");
  let stopped = false;
  sign.setAttribute("role", "status");
  sign.textContent = "looking further back … ";
  stop.type = "button";
  stop.textContent = "Stop";
  stop.onclick = () => { stopped = true; };
  for (let looks = 0; looks < MOST_LOOKS && !stopped; looks += 1) {
    const more = document.querySelector(".more[data-further]");
    const older = more?.querySelector("a[rel=next]");
    if (!older || table.tBodies[0].rows.length >= ENOUGH_ROWS) break;
    more.prepend(sign, stop, " ");
    const text = await fetch(older.href).then((answer) => (answer.ok ? answer.text() : null)).catch(() => null);
    if (text === null) break; // the link is still there
    const page = new DOMParser().parseFromString(text, "text/html"); // no script of it is run
    const rows = page.querySelectorAll("#records tbody tr");
    if (rows.length) document.getElementById("nothing")?.remove();
    table.tBodies[0].append(...rows);
    more.replaceWith(page.querySelector(".more"));
    localTimes(document);
  }
  sign.remove();
  stop.remove();
}

function toSearch() {
  const search = document.querySelector("input[type=search]");
  const folded = search?.closest("details");
  if (folded) folded.open = true;
  search?.focus();
}

function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const links = [...document.querySelectorAll("a.open")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "j" || event.key === "k") links[Math.max(0, at + (event.key === "j" ? 1 : -1))]?.focus();
    else if (event.key === "/") toSearch();
    else return;
    event.preventDefault();
  });
}

function copying() {
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.onclick = async () => {
      await navigator.clipboard.writeText(button.nextElementSibling.textContent);
      button.textContent = "Copied";
    };
  }
}

localTimes(document);
// On a phone, filters that are not in use would fill the screen.
const folding = document.querySelector("details[data-folds]");
if (folding && matchMedia("(max-width: 640px)").matches) folding.open = false;
keys();
copying();
const numbers = document.querySelector("[data-part]");
if (numbers) keepFresh(numbers);
const busy = document.querySelector("[data-retry]");
if (busy) setTimeout(() => location.reload(), 1_000 * busy.dataset.retry);
const records = document.querySelector("table[data-events]");
if (records) live(records);
const further = document.querySelector(".more[data-further]");
if (further) lookFurther(document.getElementById("records"));
