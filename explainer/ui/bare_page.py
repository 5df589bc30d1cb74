"""The least page with a linked grid; the benchmarks measure how quick a key press is there."""

import streamlit as st

from explainer.components.linked_grid import LINKED_GRID, linked_grid
from explainer.ui.pictures import convolution as pictures

LINKED_GRID.code()
size = st.slider("size", 1, 12, 5, key="size", bind="query-params")
state = pictures.State(size=size, kernel=3, stride=2, padding=1)
linked_grid(pictures.scene(state, pictures.VIEWS[0]), key="picture")
