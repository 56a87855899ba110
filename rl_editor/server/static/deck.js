// What plays one or two sides: a row for each with its letter, waveform and time; play, restart, loop.

import { Refused, fetchAudio, notice } from "./api.js";
import { Player } from "./player.js";
import { drawWave, peaks } from "./waves.js";

const SEEK_S = 2;

export class Deck {
  /** Fill `element`; `onChange` is called when something starts, stops or is set, and many times while it plays. */
  constructor(element, onChange) {
    this.element = element;
    this.onChange = onChange;
    this.loop = false; // kept from one pair to the next
    this.player = null;
    this.rows = [];
    element.append(document.getElementById("deck").content.cloneNode(true));
    element.querySelector(".legend").textContent = element.dataset.legend ?? "";
    this.rowsElement = element.querySelector(".rows");
    this.playButton = element.querySelector(".play");
    this.loopButton = element.querySelector(".loop");
    this.playButton.addEventListener("click", () => this.player?.toggle());
    this.loopButton.addEventListener("click", () => this.#setLoop(!this.loop));
    element.querySelector(".restart").addEventListener("click", () => this.player?.seek(0));
  }

  /** Fetch and show sides, {audio, letter, beats_s, differs_s}; false if it could not be, or something else was meanwhile. */
  async load(sides) {
    this.close();
    const token = (this.token = {});
    this.element.classList.add("loading");
    const buffers = await fetchAll(sides);
    if (this.token !== token) return false;
    this.element.classList.remove("loading");
    if (!buffers) return false;
    const playing = sides.map((side, i) => ({
      buffer: buffers[i],
      duration: buffers[i].duration,
      beats: side.beats_s ?? [],
    }));
    this.player = new Player(playing, () => this.#refresh());
    this.player.setLoop(this.loop);
    this.#draw(sides);
    this.#refresh();
    return true;
  }

  /** Stop, and show nothing. */
  close() {
    this.token = null;
    this.player?.pause();
    this.player = null;
    for (const row of this.rows) row.wave.remove();
    this.rows = [];
    this.rowsElement.replaceChildren();
    this.element.classList.remove("loading");
  }

  /** Do what a key asks for, if it is one of these; true if it was. */
  key(key) {
    if (!this.player) return false;
    const keys = {
      " ": () => this.player.toggle(),
      ArrowLeft: () => this.player.seek(this.player.position - SEEK_S),
      ArrowRight: () => this.player.seek(this.player.position + SEEK_S),
      Home: () => this.player.seek(0),
      End: () => this.player.seek(this.rows[this.player.side].duration),
      r: () => this.player.seek(0),
      l: () => this.#setLoop(!this.loop),
    };
    keys[key]?.();
    return key in keys;
  }

  /** Hear a side: change to it, and play if nothing does. */
  hear(side) {
    if (side >= this.rows.length) return;
    this.player.switchTo(side);
    this.player.play();
  }

  #setLoop(loop) {
    this.loop = loop;
    this.player?.setLoop(loop);
    this.#refresh();
  }

  #draw(sides) {
    const heights = this.player.sides.map((side) => peaks(side.buffer));
    const loudest = Math.max(...heights.map((each) => each.reduce((most, peak) => Math.max(most, peak), 0)));
    const longest = Math.max(...this.player.sides.map((side) => side.duration));
    this.rows = sides.map((side, i) => {
      const element = document.getElementById("row").content.cloneNode(true).firstElementChild;
      const { duration } = this.player.sides[i];
      this.rowsElement.append(element);
      element.classList.add(`side-${i}`);
      const letter = element.querySelector(".letter");
      letter.querySelector("span").textContent = side.letter;
      letter.setAttribute("aria-label", `Hear ${side.letter}`);
      letter.hidden = sides.length === 1;
      letter.addEventListener("click", () => this.hear(i));
      const slider = element.querySelector(".wave");
      slider.style.width = `${(100 * duration) / longest}%`;
      slider.setAttribute("aria-label", `Position in ${side.letter}`);
      slider.setAttribute("aria-valuemax", duration.toFixed(1));
      const onSeek = (seconds) => this.player.seek(seconds, i);
      const wave = drawWave(slider, { heights: heights[i], loudest, duration, spans: side.differs_s ?? [], onSeek });
      return { element, letter, slider, wave, duration, time: element.querySelector(".time") };
    });
  }

  #refresh() {
    const playing = this.player?.playing ?? false;
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.playButton.classList.toggle("playing", playing);
    this.loopButton.setAttribute("aria-pressed", this.loop);
    this.rows.forEach((row, i) => this.#refreshRow(row, i));
    if (playing && !this.ticking) {
      this.ticking = true;
      requestAnimationFrame(() => {
        this.ticking = false;
        this.#refresh();
      });
    }
    this.onChange();
  }

  #refreshRow(row, i) {
    const seconds = this.player.positionIn(i);
    const active = this.player.side === i;
    row.wave.show(seconds);
    row.element.classList.toggle("active", active);
    row.letter.setAttribute("aria-pressed", active);
    row.slider.setAttribute("aria-valuenow", seconds.toFixed(1));
    row.slider.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(row.duration)}`);
    row.time.textContent = `${clock(seconds)} / ${clock(row.duration)}`;
    row.time.dataset.seconds = seconds.toFixed(3);
  }
}

/** The audio of all sides, or null, and a notice why. */
async function fetchAll(sides) {
  try {
    return await Promise.all(sides.map((side) => fetchAudio(side.audio)));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    notice(`Nothing to hear: ${error.message}. Please tell whoever runs this.`, { trouble: true });
    return null;
  }
}

function clock(seconds) {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, "0")}.${tenths % 10}`;
}

/** Whether a side has sounded for so many seconds, or nearly all of it has. */
export function enough(player, side, seconds) {
  return player.heard(side) >= Math.min(seconds, 0.9 * player.sides[side].duration);
}
