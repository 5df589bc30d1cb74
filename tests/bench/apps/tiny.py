"""A small app to try the protocol's client on: a slider, an uploader, a large message."""

import streamlit as st

st.title("Tiny")
number = st.slider("number", 0, 10, 3, key="number", bind="query-params")
st.markdown(f"number {number}")
if st.button("again", key="again"):
    st.rerun()
if number == 7:
    st.warning("seven")
if number == 9:
    raise RuntimeError("nine")
st.code("x" * 50_000)  # above `global.minCachedMessageSize`: it comes as a reference later
st.session_state["runs"] = st.session_state.get("runs", 0) + 1
st.text(f"run {st.session_state['runs']}")
file = st.file_uploader("file", key="file")
if file is not None:
    st.text(f"file {file.name} {len(file.getvalue())}")


@st.fragment(key="part")
def part() -> None:
    st.text(f"part {st.session_state['other']}")


st.slider("other", 0, 10, 3, key="other", on_change=lambda: st.rerun("part"))
part()
