"""The least page that takes a photo and shows it: what Streamlit and the browser take for that."""

import streamlit as st

from explainer.fcn.photo import decode
from explainer.fcn.render import jpeg

file = st.file_uploader("Your photo")
if file is not None:
    st.image(jpeg(decode(file.getvalue(), file.name, longest=768).pixels))
