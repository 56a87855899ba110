// The page: who listens, which of the two views is shown, and keys.

import { Refused, get, notice, sendKept, store, useSet } from "./api.js";
import { Compare } from "./compare.js";
import { Rate } from "./rate.js";

const NAME = "rl-editor/listener";
const SINGLE_KEYS = "rl-editor/single-keys"; // "off" for who speaks to the page, or types by accident
const STORAGES = storages(); // of this tab, where another may have another listener; of this browser
const views = {
  compare: new Compare(document.getElementById("compare")),
  rate: new Rate(document.getElementById("rate")),
};
const welcome = document.getElementById("welcome");
const form = welcome.querySelector("form");
const field = form.querySelector("input");
const singleKeys = document.querySelectorAll(".single-keys input");
let about;
let current = null;

function storages() {
  try {
    return [sessionStorage, localStorage];
  } catch (error) {
    notice("This browser may keep nothing for this page, and an answer could be lost: allow its data (cookies), then reload.", {
      trouble: true,
    });
    throw error;
  }
}

async function enter(name) {
  try {
    await sendKept();
    await show(name);
    for (const storage of STORAGES) store(storage, NAME, document.getElementById("who").textContent);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    leave();
    form.querySelector(".fault").textContent = error.message;
  }
}

function leave() {
  current?.hide();
  current = null;
  for (const storage of STORAGES) storage.removeItem(NAME);
  document.body.classList.remove("entered");
  for (const view of Object.values(views)) view.element.hidden = true;
  welcome.hidden = false;
  field.focus();
  field.select(); // whoever comes next types over it
}

async function show(name) {
  const wanted = location.hash === "#rate" && about.n_whole ? "rate" : "compare";
  current?.hide();
  current = views[wanted];
  welcome.hidden = true;
  document.body.classList.add("entered");
  document.getElementById("who").textContent = name;
  for (const [which, view] of Object.entries(views)) view.element.hidden = which !== wanted;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${wanted}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const known = await current.show(name);
  if (known) document.getElementById("who").textContent = known; // as it was first given
}

function useSingleKeys(on) {
  for (const each of singleKeys) each.checked = on;
  document.body.classList.toggle("no-single-keys", !on);
}

function pressed(event) {
  if (!current || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("textarea, input:not([type=checkbox])")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.repeat && !event.key.startsWith("Arrow")) return;
  if (event.key === " " && event.target.matches("button, a, summary, input")) return; // a key on what has the focus
  if (/^[^ ]$/u.test(event.key) && !singleKeys[0].checked) return;
  if (current.key(keyOf(event), event.shiftKey)) event.preventDefault();
}

/** What a key means: a small Latin letter or a digit wherever its keycap has one, whatever the keyboard's layout. */
function keyOf({ key, code, shiftKey }) {
  const [, letter] = /^Key([A-Z])$/.exec(code) ?? [];
  const [, digit] = /^Digit([0-9])$/.exec(code) ?? [];
  if (letter && /^(?!\p{Script=Latin})\p{L}$/u.test(key)) return letter.toLowerCase(); // Cyrillic, Greek, Hebrew, kana
  if (digit && !shiftKey && [...key].length === 1) return digit; // where digits are above &, é or ě, or of another script
  return key.length === 1 ? key.toLowerCase() : key;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  form.querySelector(".fault").textContent = "";
  enter(field.value.trim());
});
document.getElementById("leave").addEventListener("click", leave);
document.addEventListener("keydown", pressed);
// After a click the space bar plays again, instead of pressing the same button once more.
document.addEventListener("click", (event) => event.detail && event.target.closest("button, summary, input[type=checkbox]")?.blur());
for (const each of singleKeys) {
  each.addEventListener("change", () => {
    useSingleKeys(each.checked);
    store(localStorage, SINGLE_KEYS, each.checked ? "on" : "off");
  });
}
addEventListener("hashchange", () => current && show(document.getElementById("who").textContent));

document.getElementById("starting").remove(); // all scripts are here
useSingleKeys(localStorage.getItem(SINGLE_KEYS) !== "off");
about = await get("/api/set");
useSet(about.set);
document.body.classList.toggle("rates", about.n_whole > 0);
field.value = STORAGES.map((storage) => storage.getItem(NAME)).find(Boolean) ?? "";
if (field.value) await enter(field.value);
else leave();
