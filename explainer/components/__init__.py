"""Linked pictures that run in the browser (Streamlit components v2), a folder each."""
