// Talks to the server. What a listener said is kept in this browser until the server has it on disk.

import { audioContext } from "./player.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 4000;
const TIMEOUT_MS = 15_000;
const AUDIO_TIMEOUT_MS = 600_000; // a whole edit over a slow line

let prefix = "";
let drafts = "";

/** The server understood, and refuses. */
export class Refused extends Error {}

/** Show a notice, or none. */
export function notice(words = "", { trouble = false } = {}) {
  const element = document.getElementById("notice");
  element.textContent = words;
  element.classList.toggle("trouble", trouble);
}

/** Keep unsent answers apart from those to other sets at the same address. */
export function useSet(key) {
  prefix = `rl-editor/${key}/unsent/`;
  drafts = `rl-editor/${key}/draft/`;
}

/** Ask the server; tries again until it answers. Throws Refused. */
export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return persist(path, { method: "POST", headers, body: JSON.stringify(body) }, TIMEOUT_MS, (sent) => sent.json());
}

export async function get(path) {
  return persist(path, {}, TIMEOUT_MS, (sent) => sent.json());
}

/** An audio file, decoded. Throws Refused. */
export async function fetchAudio(path) {
  const bytes = await persist(path, {}, AUDIO_TIMEOUT_MS, (sent) => sent.arrayBuffer());
  try {
    return await audioContext().decodeAudioData(bytes);
  } catch {
    throw new Refused("this browser cannot play the audio");
  }
}

/** Put something into a storage; where that is full the page goes on without, and says so. */
export function store(storage, key, words) {
  try {
    storage.setItem(key, words);
  } catch {
    notice("This browser has no room left for what is not saved yet: close this page only when it says “Saved”.", {
      trouble: true,
    });
  }
}

/** Keep what must not be lost, under `id`, until `send` has it acknowledged or refused. */
export function keep(id, path, body) {
  const at = performance.timeOrigin + performance.now();
  store(localStorage, prefix + id, JSON.stringify({ at, path, body }));
}

/** Keep what is written of `id` and not given yet, as a phone that puts the page away forgets it; "" drops it. */
export function keepDraft(id, words) {
  if (words) store(localStorage, drafts + id, words);
  else localStorage.removeItem(drafts + id);
}

export function draft(id) {
  return localStorage.getItem(drafts + id) ?? "";
}

/** Send what an earlier visit could not, in the order in which it was given. */
export async function sendKept() {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  const kept = keys.map((key) => ({ id: key.slice(prefix.length), ...JSON.parse(localStorage.getItem(key)) }));
  for (const { id, path, body } of kept.sort((one, two) => one.at - two.at)) {
    try {
      await send(id, path, body);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      notice(`An earlier answer was not taken: ${error.message}.`, { trouble: true });
    }
  }
}

/** Send what is kept under `id`. Throws Refused. */
export async function send(id, path, body) {
  try {
    const answer = await post(path, body);
    localStorage.removeItem(prefix + id);
    return answer;
  } catch (error) {
    if (error instanceof Refused) localStorage.removeItem(prefix + id);
    throw error;
  }
}

/** What `take` makes of the answer; tries again until there is one. */
async function persist(path, options, timeout, take) {
  let troubled = false;
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    const { problem, refusal, taken } = await attempt(path, options, timeout, take);
    if (problem === undefined) {
      if (troubled) notice();
      if (refusal !== undefined) throw new Refused(refusal);
      return taken;
    }
    troubled = true;
    notice(`${problem} Nothing is lost; trying again …`, { trouble: true });
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function attempt(path, options, timeout, take) {
  try {
    const response = await fetch(path, { ...options, signal: AbortSignal.timeout(timeout) });
    if (response.ok) return { taken: await take(response) };
    const words = await reason(response);
    return response.status < 500 ? { refusal: words } : { problem: `The server has a problem: ${words}.` };
  } catch {
    return { problem: "The server is not reachable." };
  }
}

async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text;
  }
}
