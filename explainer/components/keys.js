// Whom a key on the page belongs to, for the components that take keys wherever the focus is.

const TAKES_KEYS = '[data-role="linked-grid"], [data-role="photo-field"]';
// Streamlit's popovers, menus and dialogs: while one is open, keys are meant for it.
const OVERLAY = '[role="dialog"], [role="menu"], [role="listbox"]';

/** Whether an element takes typed text, so that no key may be taken from it. */
function takesText(element) {
  if (!(element instanceof Element)) return false;
  if (element.isContentEditable || element.matches("textarea")) return true;
  // A menu has the focus after a choice; what is typed there means something once it is open.
  if (element.matches('[role="combobox"][aria-expanded="false"]')) return false;
  const notText = ["radio", "checkbox", "range", "button", "submit"];
  return element.matches("input") && !notText.includes(element.type);
}

/** Whether the focus of a key's event is nowhere. */
function isNowhere(element) {
  return element === document.body || element === document.documentElement;
}

/** Whether an element is a slider: it does nothing with space, ? and Esc. */
function isSlider(element) {
  return element instanceof Element && element.matches('input[type="range"]');
}

/** Whether a key may be taken for the page's picture: nothing is open, no other picture has it. */
function isForPage(event) {
  const others = event.composedPath().some((node) => node instanceof Element && node.matches(TAKES_KEYS));
  return !others && !document.querySelector(OVERLAY);
}
