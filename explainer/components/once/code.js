// The end of the code of a kind of component (__init__.py): puts it where its places find it.

export default function ({ data }) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(data.css);
  document[`explainer ${KIND}`] = { drawIn, sheet };
  document.dispatchEvent(new Event(`explainer ${KIND}`));
}
