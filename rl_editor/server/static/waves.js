// Draws a side: its waveform, the passages where it differs, and where it is.

import WaveSurfer from "./wavesurfer.esm.js";

const BINS = 600;
const HEIGHT_PX = 72;

/** The largest absolute sample in each of `BINS` spans of a buffer. */
export function peaks(buffer) {
  const found = new Float32Array(Math.min(BINS, Math.max(buffer.length, 1)));
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let i = 0; i < samples.length; i++) {
      const bin = Math.floor((i * found.length) / samples.length);
      const size = Math.abs(samples[i]);
      if (size > found[bin]) found[bin] = size;
    }
  }
  return found;
}

/**
 * Draw into `container`: `heights` as from `peaks`, on a scale where `loudest` fills it; `spans` in seconds, shaded.
 * `onSeek` gets seconds. Gives {show(seconds), remove()}.
 */
export function drawWave(container, { heights, loudest, duration, spans, onSeek }) {
  for (const [start, end] of spans) container.append(shade(start / duration, end / duration));
  const wave = WaveSurfer.create({
    container,
    height: HEIGHT_PX,
    peaks: [heights],
    duration,
    normalize: true,
    maxPeak: loudest || 1,
    barWidth: 2,
    barGap: 1,
    barRadius: 1,
    cursorWidth: 2,
    hideScrollbar: true,
    cspNonce: document.documentElement.dataset.nonce,
    ...colours(container),
  });
  wave.on("interaction", onSeek);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => wave.setOptions(colours(container));
  scheme.addEventListener("change", recolour);
  return {
    show: (seconds) => wave.setTime(seconds),
    remove() {
      scheme.removeEventListener("change", recolour);
      wave.destroy();
      container.replaceChildren();
    },
  };
}

function shade(from, to) {
  const span = document.createElement("div");
  span.className = "differs";
  span.style.left = `${100 * from}%`;
  span.style.width = `${100 * Math.max(to - from, 0)}%`;
  return span;
}

function colours(container) {
  const style = getComputedStyle(container);
  const colour = (name) => style.getPropertyValue(name).trim();
  return { waveColor: colour("--wave"), progressColor: colour("--side"), cursorColor: colour("--side") };
}
