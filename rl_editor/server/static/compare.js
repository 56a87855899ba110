// The pairs: hear both, choose, go on.

import { Refused, draft, keep, keepDraft, notice, post, send } from "./api.js";
import { Deck, enough } from "./deck.js";

const LEAST_HEARD_S = 1;
const LETTERS = ["A", "B"];
const PLACES = ["first", "second"];
const WORDS = { first: "A is better", second: "B is better", same: "no difference", unsure: "can’t tell" };
const KEYS = { n: "same", c: "unsure" };

export class Compare {
  constructor(element) {
    this.element = element;
    this.find = (selector) => element.querySelector(selector);
    this.deck = new Deck(this.find(".deck"), () => this.#refresh());
    this.comment = this.find("textarea");
    this.buttons = [...element.querySelectorAll("[data-choice]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.choose(button.dataset.choice));
    this.find(".undo").addEventListener("click", () => this.undo());
    this.state = null;
    this.busy = false;
    this.gated = false; // whether it says what has to be heard first
    this.comment.addEventListener("input", () => keepDraft(this.state.presentation.presentation_id, this.comment.value));
  }

  /** Show what comes next for a listener; gives the name that the server knows. Throws Refused. */
  async show(listener) {
    this.listener = listener;
    await this.#turn(() => post("/api/next", { listener }));
    return this.listener;
  }

  hide() {
    this.listener = null;
    this.deck.close();
  }

  key(key, shift) {
    if (!this.state?.presentation) {
      if (key === "u") this.undo();
      return key === "u";
    }
    const side = ["a", "b"].indexOf(key);
    if (side >= 0 && shift) this.choose(PLACES[side]);
    else if (side >= 0 || key === "1" || key === "2") this.#hear(side >= 0 ? side : Number(key) - 1);
    else if (key in KEYS) this.choose(KEYS[key]);
    else if (key === "u") this.undo();
    else return this.deck.key(key);
    return true;
  }

  async choose(choice) {
    const missing = this.#unheard();
    if (this.busy || !this.deck.player) return;
    if (missing.length) {
      this.#say(`First hear ${missing.join(" and ")} for at least a second.`, true);
      return;
    }
    const { player } = this.deck;
    const { presentation_id } = this.state.presentation;
    const body = {
      listener: this.listener,
      presentation_id,
      choice,
      played_first: player.playedFirst === null ? null : PLACES[player.playedFirst],
      n_switches: player.nSwitches,
      seconds: Math.round(performance.now() - this.shownAt) / 1000,
      comment: this.comment.value.trim(),
    };
    player.pause();
    notice();
    keepDraft(this.state.undo, ""); // of the latest answer it stays, so that an undo gives it back
    keep(presentation_id, "/api/answer", body);
    await this.#turn(() => send(presentation_id, "/api/answer", body), {
      chosen: choice,
      words: `Saved: ${WORDS[choice]}.`,
    });
  }

  async undo() {
    if (this.busy || !this.state?.undo) return;
    const taken = this.state.undo;
    notice();
    await this.#turn(() => post("/api/undo", { listener: this.listener, presentation_id: taken }), {
      words: "Your last answer was taken back; this is that pair again.",
      comment: draft(taken),
    });
  }

  /** One exchange with the server, and what it leads to. */
  async #turn(exchange, { chosen = null, words = "", comment = "" } = {}) {
    const { listener } = this;
    this.busy = true;
    this.#say("");
    this.#refresh(chosen);
    let shown;
    try {
      shown = { state: await exchange(), words, comment };
    } catch (error) {
      if (!(error instanceof Refused) || !this.state) throw error;
      notice(`Not taken: ${error.message}.`, { trouble: true });
      shown = { state: await post("/api/next", { listener }), words: "", comment };
    } finally {
      this.busy = false;
    }
    if (this.listener !== listener) return;
    this.listener = shown.state.listener;
    await this.#render(shown);
  }

  async #render({ state, words, comment }) {
    const same = state.presentation && state.presentation.presentation_id === this.state?.presentation?.presentation_id;
    this.state = state;
    const { n_done, n_planned } = state.progress;
    this.find("progress").max = Math.max(n_planned, 1);
    this.find("progress").value = n_done;
    this.find(".count").textContent = `${n_done} of ${n_planned} done`;
    this.find(".undo").hidden = !state.undo;
    this.find(".question").hidden = !state.presentation;
    this.find(".finished").hidden = Boolean(state.presentation);
    if (!same && state.presentation) {
      const { presentation_id } = state.presentation;
      if (comment) keepDraft(presentation_id, comment);
      this.comment.value = draft(presentation_id); // what was written of a pair stays while it is open
    }
    this.deck.close();
    this.#say(words);
    this.#refresh();
    if (!state.presentation) return;
    const sides = PLACES.map((place, i) => ({ ...state.presentation[place], letter: LETTERS[i] }));
    if (await this.deck.load(sides)) this.shownAt = performance.now();
    this.#refresh();
  }

  #hear(side) {
    if (this.deck.player) this.deck.hear(side);
  }

  #unheard() {
    const { player } = this.deck;
    return player ? LETTERS.filter((_, side) => !enough(player, side, LEAST_HEARD_S)) : LETTERS;
  }

  #refresh(chosen = null) {
    const missing = this.#unheard();
    const open = !this.busy && missing.length === 0;
    for (const button of this.buttons) {
      button.setAttribute("aria-disabled", !open);
      if (!this.busy || chosen) button.classList.toggle("chosen", button.dataset.choice === chosen);
    }
    if (this.gated && !missing.length) this.#say("");
    const still = missing.length === 2 ? "Hear both" : `Hear ${missing[0]}`;
    this.find(".gate").textContent = missing.length ? `${still} for at least a second, then choose.` : "Your choice:";
  }

  #say(words, gated = false) {
    this.gated = gated;
    this.find(".said").textContent = words; // of the gate, too, as this is read aloud; it may be below the window
    this.find(".gate").classList.toggle("asked", gated);
  }
}
