// Plays one or two sides and changes between them without a gap, at the same moment of the music. Times in seconds.

import { sameMoment } from "./moments.js";

const FADE_S = 0.01; // short enough to be no mix, long enough to be no click
const AHEAD_S = 0.02; // so that what is scheduled has not passed when the sound card hears of it

let shared;

/** The page's audio context; it sounds once the visitor has clicked or pressed a key. */
export function audioContext() {
  if (navigator.audioSession) navigator.audioSession.type = "playback"; // else an iPhone's silent switch mutes it
  shared ??= new AudioContext();
  return shared;
}

export class Player {
  /** Sides are {buffer, duration, beats}; `onChange` is called when something starts, stops, jumps or is set. */
  constructor(sides, onChange) {
    this.sides = sides;
    this.onChange = onChange;
    this.context = audioContext();
    this.side = 0;
    this.loop = false;
    this.nSwitches = 0;
    this.playedFirst = null; // the side that sounded first
    this.restingAt = 0;
    this.voice = null; // what sounds: {source, gain, side, from, since}
    this.heardBefore = sides.map(() => 0);
  }

  get playing() {
    return this.voice !== null;
  }

  /** Of the side that is chosen. */
  get position() {
    return this.voice ? this.#positionAt(this.context.currentTime) : this.restingAt;
  }

  /** Where a side plays what is heard now. */
  positionIn(side) {
    return side === this.side ? this.position : sameMoment(this.position, this.sides[this.side], this.sides[side]);
  }

  /** How many seconds of a side have sounded. */
  heard(side) {
    const now = this.voice?.side === side ? Math.max(this.context.currentTime - this.voice.since, 0) : 0;
    return this.heardBefore[side] + now;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.playing) return;
    this.context.resume();
    this.#start(this.restingAt, this.context.currentTime + AHEAD_S);
    this.onChange();
  }

  pause() {
    if (!this.playing) return;
    const when = this.context.currentTime + AHEAD_S;
    this.restingAt = this.#positionAt(when);
    this.#stop(when);
    this.onChange();
  }

  /** Go to a time of a side. */
  seek(time, side = this.side) {
    if (side !== this.side) this.nSwitches += 1;
    const to = Math.min(Math.max(time, 0), this.sides[side].duration);
    this.#jump(() => to, side);
  }

  /** Change sides, at the same moment. */
  switchTo(side) {
    if (side === this.side) return;
    const [from, to] = [this.sides[this.side], this.sides[side]];
    this.nSwitches += 1;
    this.#jump((position) => sameMoment(position, from, to), side);
  }

  setLoop(loop) {
    const position = this.position;
    this.loop = loop;
    if (this.voice) {
      this.#account(this.context.currentTime);
      this.voice.from = position;
      this.voice.since = Math.max(this.voice.since, this.context.currentTime);
      this.voice.source.loop = loop;
    }
    this.onChange();
  }

  #jump(where, side) {
    const when = this.context.currentTime + AHEAD_S;
    const to = where(this.voice ? this.#positionAt(when) : this.restingAt);
    const sounding = this.playing;
    if (sounding) this.#stop(when);
    this.side = side;
    this.restingAt = to;
    if (sounding) this.#start(to, when);
    this.onChange();
  }

  #positionAt(when) {
    const { from, since } = this.voice;
    const position = from + Math.max(when - since, 0);
    const { duration } = this.sides[this.side];
    return this.loop ? position % duration : Math.min(position, duration);
  }

  #start(from, when) {
    const { buffer, duration } = this.sides[this.side];
    const at = from < duration ? from : 0;
    const source = new AudioBufferSourceNode(this.context, { buffer, loop: this.loop });
    const gain = new GainNode(this.context, { gain: 0 });
    source.connect(gain).connect(this.context.destination);
    gain.gain.setValueAtTime(0, when);
    gain.gain.linearRampToValueAtTime(1, when + FADE_S);
    source.start(when, at);
    const voice = { source, gain, side: this.side, from: at, since: when };
    source.onended = () => {
      if (this.voice === voice) this.#end();
    };
    this.voice = voice;
    this.playedFirst ??= this.side;
  }

  #stop(when) {
    const { source, gain } = this.voice;
    this.#account(when);
    gain.gain.setValueAtTime(1, when);
    gain.gain.linearRampToValueAtTime(0, when + FADE_S);
    source.stop(when + FADE_S);
    this.voice = null;
  }

  #end() {
    this.#account(this.voice.since + this.sides[this.side].duration - this.voice.from);
    this.voice = null;
    this.restingAt = 0;
    this.onChange();
  }

  #account(when) {
    this.heardBefore[this.voice.side] += Math.max(when - this.voice.since, 0);
  }
}
