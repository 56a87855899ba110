// The whole edits: hear one, rate it from 1 to 10, change it later.

import { Refused, draft, keep, keepDraft, notice, post, send } from "./api.js";
import { Deck, enough } from "./deck.js";

const LEAST_HEARD_S = 1;
const MOST = 10;

export class Rate {
  constructor(element) {
    this.element = element;
    this.find = (selector) => element.querySelector(selector);
    this.deck = new Deck(this.find(".deck"), () => this.#refresh());
    this.comment = this.find("textarea");
    this.edits = [];
    this.at = 0;
    this.sending = Promise.resolve(); // one at a time, in the order in which they were given
    this.buttons = Array.from({ length: MOST }, (_, i) => this.#button(i + 1));
    this.find(".scale").append(...this.buttons);
    this.find(".previous").addEventListener("click", () => this.#go(this.at - 1));
    this.find(".next").addEventListener("click", () => this.#go(this.at + 1));
    this.comment.addEventListener("change", () => this.#commented());
    this.comment.addEventListener("input", () => keepDraft(this.#draftOf(this.edits[this.at]), this.comment.value));
    this.gated = false; // whether it says that the edit has to be heard first
  }

  /** Show the edits of a listener, at the first that is not rated; gives the name that the server knows. Throws Refused. */
  async show(listener) {
    this.listener = listener;
    const given = await post("/api/ratings", { listener });
    if (this.listener !== listener) return null;
    this.listener = given.listener;
    this.edits = given.edits;
    const open = this.edits.findIndex((edit) => edit.rating === null);
    this.#say("");
    await this.#go(Math.max(open, 0));
    return this.listener;
  }

  hide() {
    this.listener = null;
    this.deck.close();
  }

  key(key) {
    if (/^[0-9]$/.test(key)) this.rate(Number(key) || MOST);
    else if (key === "n") this.#go(this.at + 1);
    else if (key === "p") this.#go(this.at - 1);
    else return this.deck.key(key);
    return true;
  }

  async rate(rating) {
    const { player } = this.deck;
    const edit = this.edits[this.at];
    if (!edit || !player) return;
    if (edit.rating === null && !enough(player, 0, LEAST_HEARD_S)) {
      this.#say("First hear it for at least a second.", true);
      return;
    }
    await this.#send(edit, rating, `Saved: ${rating} of ${MOST}.`);
  }

  async #commented() {
    const edit = this.edits[this.at];
    if (!edit || edit.rating === null || edit.comment === this.comment.value.trim()) return;
    await this.#send(edit, edit.rating, "Comment saved.");
  }

  #send(edit, rating, words) {
    const { listener } = this;
    const bytes = [...crypto.getRandomValues(new Uint8Array(16))];
    const rating_id = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const comment = this.comment.value.trim();
    const body = { listener, rating_id, edit: edit.edit, rating, comment };
    keepDraft(this.#draftOf(edit), "");
    keep(rating_id, "/api/rate", body); // at once, not only when its turn to be sent comes
    this.sending = this.sending.then(() => this.#sent(body, words));
    return this.sending;
  }

  async #sent(body, words) {
    let edits;
    try {
      ({ edits } = await send(body.rating_id, "/api/rate", body));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      notice(`Not taken: ${error.message}.`, { trouble: true });
      return;
    }
    if (this.listener !== body.listener) return;
    this.edits = edits;
    this.#say(edits.every((edit) => edit.rating !== null) ? `${words} All edits are rated: thank you.` : words);
    this.#overview();
    this.#refresh();
  }

  async #go(at) {
    if (at < 0 || at >= this.edits.length) return;
    this.at = at;
    const edit = this.edits[at];
    this.comment.value = draft(this.#draftOf(edit)) || edit.comment;
    notice();
    this.#say("");
    this.#overview();
    this.#refresh();
    await this.deck.load([{ audio: edit.audio, letter: `edit ${at + 1}` }]);
    this.#refresh();
  }

  #overview() {
    const rated = this.edits.filter((edit) => edit.rating !== null).length;
    this.find("progress").max = Math.max(this.edits.length, 1);
    this.find("progress").value = rated;
    this.find(".count").textContent = `${rated} of ${this.edits.length} rated`;
    this.find(".which").textContent = `Edit ${this.at + 1} of ${this.edits.length}`;
    this.find(".previous").disabled = this.at === 0;
    this.find(".next").disabled = this.at >= this.edits.length - 1;
  }

  #refresh() {
    const edit = this.edits[this.at];
    const { player } = this.deck;
    if (this.gated && player && enough(player, 0, LEAST_HEARD_S)) this.#say("");
    const open = player && edit && (edit.rating !== null || enough(player, 0, LEAST_HEARD_S));
    for (const [i, button] of this.buttons.entries()) {
      button.setAttribute("aria-disabled", !open);
      button.setAttribute("aria-pressed", edit?.rating === i + 1);
    }
    this.find(".gate").textContent = open ? "1 is the worst, 10 the best:" : "Hear it for at least a second, then rate it.";
  }

  #button(rating) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = rating;
    button.addEventListener("click", () => this.rate(rating));
    return button;
  }

  #draftOf(edit) {
    return `${this.listener}/${edit.edit}`;
  }

  #say(words, gated = false) {
    this.gated = gated;
    this.find(".said").textContent = words; // of the gate, too, as this is read aloud; it may be below the window
    this.find(".gate").classList.toggle("asked", gated);
  }
}
