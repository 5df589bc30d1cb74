"""A visitor without a browser: Streamlit's own protocol over a real websocket.

The page's script runs when the browser says so (`BackMsg.rerun_script`, with the state of the
widgets), and answers with a message for each element (`ForwardMsg.delta`) and one at the end
(`script_finished`). Like the browser, the client keeps large messages for two runs and tells the
server which ones it has, so that they come as a reference only.
"""

import asyncio
import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.cookies import SimpleCookie
from typing import Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.BidiComponent_pb2 import BidiComponent
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from explainer.bench.server import HOST

XSRF_COOKIE = "_streamlit_xsrf"
KEPT_RUNS = 2
"""For so many runs a browser keeps a large message (`global.maxCachedMessageAge`)."""

_WELL = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
"""How a run ends where nothing failed: of the whole page, or of the part that a control changes."""


class VisitError(Exception):
    """The server did not do what a browser would have needed; the message says what."""


@dataclass
class Run:
    """What one run of a page's script sent.

    Attributes:
        seconds: from the request to the end of the script.
        messages, size: how many came, and their bytes.
        elements: all that was drawn, in order.
        ok: the script ended as it should.
    """

    seconds: float = 0.0
    messages: int = 0
    size: int = 0
    elements: list[Element] = field(default_factory=list)
    ok: bool = False

    def component(self, name: str) -> BidiComponent | None:
        """The last component of a name that was drawn, such as "explainer.segment_viewer"."""
        found = None
        for element in self.elements:
            kind = element.WhichOneof("type")
            if kind == "bidi_component" and element.bidi_component.component_name == name:
                found = element.bidi_component
        return found

    def uploader(self) -> str | None:
        """The id of the last file uploader that was drawn."""
        found = None
        for element in self.elements:
            if element.WhichOneof("type") == "file_uploader":
                found = element.file_uploader.id
        return found

    def alerts(self) -> list[str]:
        """What errors, warnings and notices say, tracebacks on the page among them."""
        texts = []
        for element in self.elements:
            kind = element.WhichOneof("type")
            if kind == "alert":
                texts.append(element.alert.body)
            elif kind == "exception":
                texts.append(f"{element.exception.type}: {element.exception.message}")
        return texts

    def steps(self) -> tuple[WidgetState, WidgetState] | None:
        """Two states of the first widget that can be moved: one step away from where it is, and
        back; None where the page has no such widget."""
        for element in self.elements:
            if moved := _moved(element):
                return moved
        return None


def _moved(element: Element) -> tuple[WidgetState, WidgetState] | None:
    kind = element.WhichOneof("type")
    if kind == "slider" and element.slider.type == element.slider.SLIDER:
        slider = element.slider
        if slider.disabled or len(slider.default) != 1 or slider.max <= slider.min:
            return None
        here = slider.value[0] if slider.set_value else slider.default[0]
        step = slider.step if here + slider.step <= slider.max else -slider.step
        there, back = WidgetState(id=slider.id), WidgetState(id=slider.id)
        there.double_array_value.data.append(here + step)
        back.double_array_value.data.append(here)
        return there, back
    if kind == "button_group" and len(element.button_group.options) > 1:
        group = element.button_group
        if group.disabled or group.click_mode != group.SINGLE_SELECT:
            return None
        names = [option.content for option in group.options]
        here = group.default[0] if group.default else 0
        there, back = WidgetState(id=group.id), WidgetState(id=group.id)
        there.string_array_value.data.append(names[(here + 1) % len(names)])
        back.string_array_value.data.append(names[here])
        return there, back
    return None


class Session:
    """A visitor on a page. Opened by `Session.open`, left by `close` or, abruptly, by `abort`."""

    def __init__(self, port: int, page: str, query: str, connection: ClientConnection, token: str):
        self.port = port
        self.page = page
        self.query = query
        self.id = ""
        self._connection = connection
        self._token = token
        self._page_hash = ""
        self._widgets: dict[str, WidgetState] = {}
        self._kept: dict[str, tuple[int, ForwardMsg]] = {}
        self._runs = 0
        self._requests = itertools.count()

    @classmethod
    async def open(
        cls, port: int, page: str = "", query: str = "", *, token: str | None = None
    ) -> tuple[Self, Run]:
        """Visit a page and wait until it is drawn.

        Args:
            port: of the server on this machine.
            page: the name in its address, such as "convolution"; empty for the first page.
            query: the parameters of the address, without "?".
            token: of `xsrf_token`, to spare a request; None asks for one.

        Raises:
            VisitError: the server closed the connection, or does not answer in time.
        """
        if token is None:
            token = await asyncio.to_thread(xsrf_token, port)
        try:
            connection = await connect(
                f"ws://{HOST}:{port}/_stcore/stream",
                subprotocols=[Subprotocol(part) for part in ("streamlit", token) if part],
                additional_headers={"Cookie": f"{XSRF_COOKIE}={token}"},
                origin=f"http://{HOST}:{port}",  # pyright: ignore[reportArgumentType]
                compression=None,  # as Streamlit's default
                max_size=None,
                ping_interval=None,
                open_timeout=60,
            )
        except (OSError, TimeoutError) as error:
            raise VisitError(f"the server does not accept a connection: {error}") from None
        session = cls(port, page, query, connection, token)
        return session, await session.rerun()

    async def rerun(
        self, widgets: Iterable[WidgetState] = (), *, query: str | None = None, wait: float = 300
    ) -> Run:
        """Change widgets, or the address, and wait until the page is drawn anew.

        Triggers (buttons, what a component sends once) are forgotten afterwards, all other states
        are sent with every later run, as a browser does.

        Args:
            widgets: the new states.
            query: the new parameters of the address.
            wait: seconds.

        Raises:
            VisitError: the server closed the connection, or does not answer in time.
        """
        began = time.perf_counter()
        await self.start(widgets, query=query)
        run = await self.finished(wait)
        run.seconds = time.perf_counter() - began
        return run

    async def start(self, widgets: Iterable[WidgetState] = (), *, query: str | None = None) -> None:
        """Ask for a run, as `rerun` does, without waiting for it.

        Raises:
            VisitError: the connection is closed.
        """
        self.query = self.query if query is None else query
        changed = {state.id: state for state in widgets}
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self.query
        if self._page_hash:
            state.page_script_hash = self._page_hash
        else:
            state.page_name = self.page
        state.widget_states.widgets.extend((self._widgets | changed).values())
        self._forget()
        state.cached_message_hashes.extend(self._kept)
        triggers = ("trigger_value", "json_trigger_value", "string_trigger_value")
        for key, value in changed.items():
            if value.WhichOneof("value") not in triggers:
                self._widgets[key] = value
        self._runs += 1
        await self._send(message)

    async def finished(self, wait: float = 300) -> Run:
        """Wait for the end of the run that was started.

        Raises:
            VisitError: the server closed the connection, or does not answer in time.
        """
        run = Run()
        try:
            async with asyncio.timeout(wait):
                while True:
                    message = await self._receive(run)
                    kind = message.WhichOneof("type")
                    if kind == "new_session":
                        self.id = message.new_session.initialize.session_id or self.id
                        run.elements.clear()
                    elif kind == "navigation":
                        # The page that runs; the hash in `new_session` is that of the script.
                        self._page_hash = message.navigation.page_script_hash
                    elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                        run.elements.append(message.delta.new_element)
                    elif (
                        kind == "script_finished"
                        # A run that another one overtakes is not the end.
                        and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
                    ):
                        run.ok = message.script_finished in _WELL
                        return run
        except TimeoutError:
            raise VisitError(
                f"a run of {self.page or 'the first page'} took over {wait:g} s"
            ) from None

    async def upload(
        self, uploader: str, name: str, data: bytes, *, stop_after: int | None = None
    ) -> Run | None:
        """Hand a file to an uploader and wait until the page is drawn anew.

        Args:
            uploader: the widget's id, see `Run.uploader`.
            name: of the file; data: its bytes.
            stop_after: break the connection off after so many bytes, as where a visitor leaves;
                the page then does not run.

        Returns:
            The page's run; None where the upload was broken off.

        Raises:
            VisitError: the server refused the file, closed the connection, or does not answer.
        """
        urls = await self._file_urls(name)
        status = await _put(self, urls.upload_url, name, data, stop_after)
        if status is None:
            return None
        if status != 204:
            raise VisitError(f"the server refused the file {name}: HTTP status {status}")
        state = WidgetState(id=uploader)
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.name, info.size, info.file_id = name, len(data), urls.file_id
        info.file_urls.CopyFrom(urls)
        run = await self.rerun([state])
        # The page takes the file out of the widget, whose key is new afterwards.
        self._widgets.pop(uploader, None)
        return run

    async def close(self) -> None:
        """Leave, as a closed tab does."""
        await self._connection.close()

    def abort(self) -> None:
        """Leave without a word, as a machine that loses its network does."""
        self._connection.transport.abort()

    async def _file_urls(self, name: str) -> FileURLs:
        message = BackMsg()
        request = message.file_urls_request
        request.request_id = str(next(self._requests))
        request.file_names.append(name)
        request.session_id = self.id
        await self._send(message)
        try:
            async with asyncio.timeout(60):
                while True:
                    answer = await self._receive(Run())
                    if answer.WhichOneof("type") == "file_urls_response":
                        return answer.file_urls_response.file_urls[0]
        except TimeoutError:
            raise VisitError("the server gives no address for an upload") from None

    async def _send(self, message: BackMsg) -> None:
        try:
            await self._connection.send(message.SerializeToString())
        except ConnectionClosed as closed:
            raise VisitError(f"the server closed the connection: {closed}") from None

    async def _receive(self, run: Run) -> ForwardMsg:
        try:
            data = await self._connection.recv()
        except ConnectionClosed as closed:
            raise VisitError(f"the server closed the connection: {closed}") from None
        assert isinstance(data, bytes), "Streamlit sends binary messages only"
        run.messages += 1
        run.size += len(data)
        message = ForwardMsg()
        message.ParseFromString(data)
        if message.WhichOneof("type") == "ref_hash":
            metadata = message.metadata
            if message.ref_hash not in self._kept:
                raise VisitError("the server refers to a message that this client does not have")
            message = self._kept[message.ref_hash][1]
            message.metadata.CopyFrom(metadata)
            self._kept[message.hash] = (self._runs, message)
        elif message.metadata.cacheable and message.hash:
            self._kept[message.hash] = (self._runs, message)
        return message

    def _forget(self) -> None:
        old = self._runs - KEPT_RUNS
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > old}


async def open_many(
    port: int, count: int, page: str = "", query: str = ""
) -> list[tuple[Session, Run]]:
    """Several visitors of a page, who come together.

    Raises:
        VisitError: one of them could not open it.
    """
    token = await asyncio.to_thread(xsrf_token, port)
    opening = (Session.open(port, page, query, token=token) for _ in range(count))
    return list(await asyncio.gather(*opening))


def xsrf_token(port: int) -> str:
    """The token that the server wants to see with every upload; empty where it wants none.

    Raises:
        VisitError: the server does not answer.
    """
    connection = HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("GET", "/_stcore/health")
        cookies = connection.getresponse().headers.get_all("Set-Cookie") or []
    except (OSError, HTTPException) as error:
        raise VisitError(f"the server does not answer: {error}") from None
    finally:
        connection.close()
    for line in cookies:
        cookie: SimpleCookie = SimpleCookie(line)
        if XSRF_COOKIE in cookie:
            return cookie[XSRF_COOKIE].value
    return ""


async def _put(
    session: Session, path: str, name: str, data: bytes, stop_after: int | None
) -> int | None:
    """The HTTP status of an upload; None where it was broken off.

    By hand, because no client library breaks off in the middle on purpose.
    """
    boundary = "explainer-bench-boundary"
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    body = head + data + f"\r\n--{boundary}--\r\n".encode()
    request = (
        f"PUT {path} HTTP/1.1\r\nHost: {HOST}:{session.port}\r\n"
        f"Origin: http://{HOST}:{session.port}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        f"Cookie: {XSRF_COOKIE}={session._token}\r\nX-Xsrftoken: {session._token}\r\n\r\n"
    ).encode()
    try:
        reader, writer = await asyncio.open_connection(HOST, session.port)
    except OSError as error:
        raise VisitError(f"the server does not accept an upload: {error}") from None
    try:
        writer.write(request + (body if stop_after is None else body[:stop_after]))
        await writer.drain()
        if stop_after is not None:
            writer.transport.abort()
            return None
        async with asyncio.timeout(120):
            line = await reader.readline()
        return int(line.split()[1])
    except (OSError, TimeoutError, IndexError, ValueError) as error:
        raise VisitError(f"an upload got no answer: {error!r}") from None
    finally:
        writer.close()
