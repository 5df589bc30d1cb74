"""Two places of a kind of component, whose code comes when a button asks for it."""

import streamlit as st

from explainer.components.once import Once

WORDS = Once(
    "words",
    html='<p data-role="words"></p>',
    css="p { color: rgb(1, 2, 3) }",
    js="""
        function drawIn({ parentElement, data, setTriggerValue }) {
          const words = parentElement.querySelector("p");
          words.textContent = data.text;
          words.onclick = () => setTriggerValue("tap", data.text);
          document.drawings = (document.drawings ?? 0) + 1;
          return () => (document.endings = (document.endings ?? 0) + 1);
        }
    """,
)


def main() -> None:
    if st.checkbox("code"):
        WORDS.code()
    count = st.slider("count", 1, 9)
    if st.checkbox("places", value=True):
        for name in ("first", "second"):
            WORDS(
                key=name,
                data={"text": f"{name} {count}"},
                on_tap_change=lambda name=name: st.session_state.update(tapped=name),
            )
    st.text(f"tapped: {st.session_state.get('tapped', '')}")


if __name__ == "__main__":
    main()
