// Shows what a picture will be at the next value of a slider, as soon as the slider moves: Python
// has drawn it and sent it. The other half is answers.js, in the pictures.

function drawIn({ parentElement, data }) {
  // The function runs again on every change of the data, in the same DOM: what it was told before
  // no longer holds.
  parentElement.listening?.abort();
  const listening = (parentElement.listening = new AbortController());
  const { signal } = listening;
  unpacked(data).then((told) => signal.aborted || listen(told, signal));
  return () => listening.abort();
}

/** What Python has packed with zlib. */
function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

function listen({ picture, at, here, steps }, signal) {
  const sliderOf = (name) => document.querySelector(`.st-key-${name} ${SLIDER}`);
  // What was sent holds while all other sliders are where they were.
  const holds = (name) =>
    Object.entries(at).every(([other, value]) => {
      const slider = other === name ? null : sliderOf(other);
      return !slider || Number(slider.value) === value;
    });
  const shownAt = (name, value) => {
    if (!holds(name)) return null;
    const step = value === at[name] ? "{}" : steps[name]?.[value];
    return step ? { ...here, ...JSON.parse(step) } : null;
  };

  const show = (slider, orWait) => {
    const name = Object.keys(at).find((name) => sliderOf(name) === slider);
    if (!name) return;
    const value = Number(slider.value);
    const detail = { picture, at: { ...at, [name]: value }, data: shownAt(name, value) };
    if (!detail.data && !orWait) return;
    document.dispatchEvent(new CustomEvent("lookahead", { detail }));
  };

  const observer = new MutationObserver((changes) => {
    // Only a hand on the slider: where an example sets it, other settings change with it.
    const slider = changes.find(({ target }) => target === document.activeElement)?.target;
    if (slider?.matches(SLIDER)) show(slider, true);
  });
  observer.observe(document.body, { subtree: true, attributeFilter: ["value"] });
  signal.addEventListener("abort", () => observer.disconnect());
  // The slider may have moved on while this was on its way.
  if (document.activeElement?.matches(SLIDER)) show(document.activeElement, false);
}
