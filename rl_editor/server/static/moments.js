// Moments of the music. A side is {duration, beats}: seconds, and the times of its beats in seconds, maybe none.
// Equal indices of the beats of two sides are equal moments; between beats time runs evenly.

/** Where `to` plays what `from` plays at `time`, in seconds; within `to`. Without beats: at the same time. */
export function sameMoment(time, from, to) {
  if (!from.beats.length || !to.beats.length) return within(time, to);
  const before = lastAtOrBefore(time, from.beats);
  if (before < 0) return within(to.beats[0] + time - from.beats[0], to);
  const last = to.beats.length - 1;
  if (before > last) return within(to.beats[last], to);
  const sinceBeat = time - from.beats[before];
  if (before === from.beats.length - 1 || before === last) return within(to.beats[before] + sinceBeat, to);
  const fraction = sinceBeat / (from.beats[before + 1] - from.beats[before]);
  return within(to.beats[before] + fraction * (to.beats[before + 1] - to.beats[before]), to);
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
