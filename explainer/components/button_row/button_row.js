// A line of buttons. A press reaches Python; nothing else does.

export default function buttonRow(component) {
  const root = component.parentElement.querySelector('[data-role="button-row"]');
  root.send = component.setTriggerValue;
  // The function runs again at every change around it: drawn anew only where the buttons changed,
  // so that the focus stays.
  const shown = JSON.stringify(component.data);
  if (root.shown === shown) return;
  root.shown = shown;
  root.replaceChildren(...component.data.groups.flatMap((group) => drawGroup(root, group)));
  root.dataset.ready = "true";
}

function drawGroup(root, { title, buttons }) {
  const words = make("span", { class: "title" }, title);
  return [...(title ? [words] : []), ...buttons.map((button) => drawButton(root, button))];
}

function drawButton(root, { label, help, icon }) {
  // The stylesheet draws the help: the browser's own tooltip is late, and small on a projector.
  const told = { "data-help": help || null, "aria-description": help || null };
  const button = make("button", { type: "button", ...told });
  if (icon) button.append(make("span", { class: "icon", "aria-hidden": "true" }, icon));
  button.append(label);
  button.addEventListener("click", () => root.send("press", label));
  // Help grows to the side where there is room.
  const place = () => mark(button, "data-late", button.offsetLeft > root.clientWidth / 2);
  button.addEventListener("pointerenter", place);
  button.addEventListener("focus", place);
  return button;
}
