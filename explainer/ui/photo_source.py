"""The row in which the visitor chooses a photo: a sample, a file, the clipboard, the camera."""

import ipaddress
from urllib.parse import urlsplit

import streamlit as st

from explainer.components.paste_photo import paste_photo, pasted_photo
from explainer.fcn.photo import PhotoError
from explainer.ui import samples
from explainer.ui.uploads import MAX_BYTES, MAX_MEGABYTES
from explainer.ui.visit import Encoded, Visit

LINK = "photo"
"""The parameter of the address that names a sample."""

SIDE = "side"
"""The parameter of the address, and the key, of the longest side that the network gets."""

SIDES = (384, 512, 768)
"""That side in pixels."""


def follow_link(now: Visit) -> None:
    """Choose the sample that the address names, where that is new; the cat on a first visit."""
    wanted = st.query_params.get(LINK)
    if now.chosen is not None and wanted == now.link:
        return
    if wanted is None or wanted in samples.SAMPLES:
        now.link = wanted
        _take_sample(now, wanted or samples.DEFAULT)
        return
    forget_link(now)
    _take_sample(now, samples.DEFAULT)
    now.notice = (
        "The link asks for a sample photo that does not exist, so here is the "
        f"{samples.DEFAULT}. There are: {', '.join(samples.SAMPLES)}."
    )


def forget_link(now: Visit) -> None:
    """The photo on the screen is no sample any more: take its name out of the address."""
    now.link = None
    if LINK in st.query_params:
        del st.query_params[LINK]


def longest_side() -> int:
    """What the visitor chose last; before the row was drawn for the first time, the default."""
    return st.session_state.get(SIDE, SIDES[-1])


def draw(now: Visit) -> int:
    """Draw the row; returns the longest side.

    What the visitor hands in becomes `now.pending` before the script runs the next time.
    """
    with st.container(key="photo_source", horizontal=True, vertical_alignment="center"):
        for sample in samples.SAMPLES.values():
            st.button(
                f"![{sample.name}]({samples.thumbnail(sample.name)}) {sample.name}",
                key=f"sample_{sample.name}",
                help=sample.help,
                type="primary" if now.chosen and now.chosen.sample == sample.name else "secondary",
                on_click=_open_sample,
                args=(now, sample.name),
            )
        upload = f"upload{now.handed_in}"
        st.file_uploader(
            "Your photo",
            key=upload,
            label_visibility="collapsed",
            max_upload_size=MAX_MEGABYTES,
            on_change=_hand_in,
            args=(now, upload),
        )
        with st.container(key="photo_more", width="content", gap="xsmall"):
            paste_photo(key="paste", max_bytes=MAX_BYTES, on_photo=lambda: _take_pasted(now))
            _camera(now)
        side = st.segmented_control(
            "Longest side",
            SIDES,
            default=SIDES[-1],
            key=SIDE,
            bind="query-params",
            required=True,
            on_change=_go_on,
            args=(now,),
            help="The network gets the photo at most this many pixels long; never enlarged.",
        )
    return side


def camera_allowed(url: str | None) -> bool:
    """Whether browsers give a page at this address the camera: HTTPS, or this machine itself."""
    parts = urlsplit(url or "https://")
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _go_on(now: Visit) -> None:
    """What was wrong with a file, and with the size in the link, has been read."""
    now.error = ""
    now.unread.pop(SIDE, None)


def _open_sample(now: Visit, name: str) -> None:
    st.query_params[LINK] = now.link = name
    _take_sample(now, name)


def _take_sample(now: Visit, name: str) -> None:
    now.chosen = Encoded(samples.SAMPLES[name].file, samples.read(name), sample=name)
    now.error = now.notice = ""


def _hand_in(now: Visit, key: str) -> None:
    """Take the file out of a widget; the widget gets a new key, which frees its copy."""
    file = st.session_state.get(key)
    if file is not None:
        now.pending = Encoded(file.name, file.getvalue())
        now.handed_in += 1
        st.session_state["camera"] = False


def _take_pasted(now: Visit) -> None:
    try:
        now.pending = Encoded(*pasted_photo("paste", MAX_BYTES))
    except PhotoError as error:
        now.error = str(error)


def _camera(now: Visit) -> None:
    # A camera that is not shown is not running: the widget exists only while this is open.
    box = st.popover("Camera", icon=":material/photo_camera:", key="camera", on_change="rerun")
    if not box.open:
        return
    with box:
        if not camera_allowed(st.context.url):
            st.info(
                "Browsers give the camera only to pages on this computer (localhost) or over "
                "HTTPS, and this page is neither. Take the photo first and upload the file."
            )
            return
        key = f"shot{now.handed_in}"
        st.camera_input(
            "Take a photo",
            key=key,
            on_change=_hand_in,
            args=(now, key),
            label_visibility="collapsed",
        )
