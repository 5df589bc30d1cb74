// Takes a picture from the clipboard: Ctrl+V anywhere on the page, or the button where the browser
// lets a page read the clipboard (localhost or HTTPS, and the visitor agrees).

const HINT = "Paste (Ctrl+V)";

function readAsBase64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

async function pictureFromClipboard() {
  for (const item of await navigator.clipboard.read()) {
    const type = item.types.find((each) => each.startsWith("image/"));
    if (type) return item.getType(type);
  }
  return null;
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const button = parentElement.querySelector("button");
  // Read at every paste: `component` is new whenever the data change, the listeners are not.
  button.latest = { maxBytes: data.max_bytes, send: setTriggerValue };
  if (button.listening) return;
  button.listening = true;

  let timer = 0;
  const say = (text) => {
    button.textContent = text;
    clearTimeout(timer);
    if (text !== HINT) timer = setTimeout(() => (button.textContent = HINT), 10_000);
  };

  async function take(blob) {
    const { maxBytes, send } = button.latest;
    if (!blob) return say("No picture in the clipboard");
    if (blob.size > maxBytes) return say(`Larger than ${Math.floor(maxBytes / 2 ** 20)} MB`);
    say("Sending …");
    send("photo", { name: blob.name || "pasted.png", data: await readAsBase64(blob) });
    say(HINT);
  }

  function onPaste(event) {
    const file = [...(event.clipboardData?.files ?? [])][0];
    // Text pasted into a field is none of this component's business.
    if (file) {
      event.preventDefault();
      take(file);
    }
  }

  async function onClick() {
    if (!navigator.clipboard?.read) return say("Press Ctrl+V");
    try {
      await take(await pictureFromClipboard());
    } catch {
      say("Press Ctrl+V"); // the visitor or the browser refused
    }
  }

  document.addEventListener("paste", onPaste);
  button.addEventListener("click", onClick);
  button.dataset.listening = "true";
  return () => {
    clearTimeout(timer);
    document.removeEventListener("paste", onPaste);
    button.removeEventListener("click", onClick);
    button.listening = false;
  };
}
