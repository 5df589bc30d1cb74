// A place where a kind of component draws (__init__.py), as soon as the page has its code.

export default function (component) {
  const root = component.parentElement; // a shadow root
  let leave;
  const start = () => {
    const { drawIn, sheet } = document[`explainer ${KIND}`];
    if (!root.adoptedStyleSheets.includes(sheet)) {
      root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    }
    leave = drawIn(component);
  };
  // The function runs again on every change of the data: only the newest waits.
  root.waiting?.abort();
  const waiting = (root.waiting = new AbortController());
  if (document[`explainer ${KIND}`]) start();
  else {
    const options = { once: true, signal: waiting.signal };
    document.addEventListener(`explainer ${KIND}`, start, options);
  }
  return () => {
    waiting.abort();
    leave?.();
  };
}
