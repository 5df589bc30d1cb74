"""The first page, "Segment a photo": `streamlit run app.py`."""

from explainer.ui import segment_page

segment_page.show()
