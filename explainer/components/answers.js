// What Python answers, and before it what was sent ahead (look_ahead): part of the script of each
// picture that follows sliders.

const SLIDER = 'input[type="range"]';
const LATE_MS = 3000; // longer than a busy server takes for the next answer

class Answers {
  /** `show` draws data; `signal` ends listening. */
  constructor(show, signal) {
    this.show = show;
    this.ahead = null; // the sliders' values for which the picture was shown ahead
    const listen = ({ detail }) => detail.picture === this.answer?.key && this.peek(detail);
    document.addEventListener("lookahead", listen, { signal });
    signal.addEventListener("abort", () => clearTimeout(this.late));
  }

  /** Python's answer counts, unless a hand has moved the slider on and that is shown already. */
  take(answer) {
    this.answer = answer;
    clearTimeout(this.late);
    const passed = this.ahead !== null && this.ahead !== JSON.stringify(answer.at);
    if (passed && document.activeElement?.matches(SLIDER)) {
      this.late = setTimeout(() => this.settle(), LATE_MS);
    } else {
      this.settle();
    }
  }

  settle() {
    this.ahead = null;
    this.show(this.answer);
  }

  /** A hand has moved a slider. Show what was sent ahead for it; null: the next answer counts. */
  peek({ at, data }) {
    this.ahead = data && JSON.stringify(at);
    if (data) this.show(data);
  }
}
