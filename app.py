"""The first page, "Segment a photo": `streamlit run app.py`."""

import streamlit as st

from explainer.ui import front, segment_page

if __name__ == "__main__":  # run for a visitor
    segment_page.show()
else:  # imported once, by `streamlit run`, to serve all of them
    app = st.App(__file__, routes=front.routes(), lifespan=front.lifespan)
