// Moments of the music. A side is {duration, beats}: seconds, and the times of its beats in seconds, maybe none.
// Equal indices of the beats of two sides are equal moments; between beats time runs evenly.

/** Where `to` plays what `from` plays at `time`, in seconds; within `to`. Without beats: at the same time. */
export function sameMoment(time, from, to) {
  const last = Math.min(from.beats.length, to.beats.length) - 1;
  if (last < 0) return within(time, to);
  const beat = Math.min(Math.max(lastAtOrBefore(time, from.beats), 0), last);
  const sinceBeat = time - from.beats[beat];
  if (sinceBeat < 0 || beat === last) return within(to.beats[beat] + sinceBeat, to);
  const fraction = sinceBeat / (from.beats[beat + 1] - from.beats[beat]);
  return within(to.beats[beat] + fraction * (to.beats[beat + 1] - to.beats[beat]), to);
}

function within(time, side) {
  return Math.min(Math.max(time, 0), side.duration);
}

function lastAtOrBefore(time, beats) {
  let low = 0;
  let high = beats.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (beats[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
