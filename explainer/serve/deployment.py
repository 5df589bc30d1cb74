"""The engine as a Ray Serve deployment: every replica is a process with its own engine.

The engine makes the batches, of one padded size, from what waits in its replica; so a photo's
labels are those that the app would compute, and what it does when memory runs out it does here too.
"""

import asyncio
import os

import numpy as np
import torch
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from explainer.fcn.device import choose
from explainer.fcn.engine import Busy, Engine
from explainer.fcn.segmenter import Segmenter
from explainer.fcn.weights import record
from explainer.serve import wire

ONGOING = 32
"""Photos in one replica, computing or waiting for its next batches."""

QUEUED = 64
"""Photos that wait for a place in a replica; more are told to come back."""

LOGGING = LoggingConfig(enable_access_log=False, log_level="WARNING")
"""Not even which requests came, and when."""


@serve.deployment(
    name="segmenter",
    max_ongoing_requests=ONGOING,
    max_queued_requests=QUEUED,
    health_check_period_s=10,
    # The photo that checks waits in the queue like any other.
    health_check_timeout_s=120,
    logging_config=LOGGING,
)
class Replica:
    """A network with its engine.

    Args:
        device: as `explainer.fcn.device.choose` takes it.
        gpu_fraction: of the GPU's memory that this process may use.
        max_batch: photos in one pass, where the device takes several.

    Raises:
        ValueError: there is no such device.
        WeightsError: the weights cannot be used.
    """

    def __init__(self, device: str | None, gpu_fraction: float, max_batch: int):
        device = choose(device)
        if device.startswith("cuda") and gpu_fraction < 1:
            torch.cuda.set_per_process_memory_fraction(gpu_fraction)

        def load() -> Segmenter:
            segmenter = Segmenter.load(device=device)
            segmenter.largest_batch = min(segmenter.largest_batch, max_batch)
            segmenter.warm_up()
            return segmenter

        self._about = {"device": device, "weights": record().sha256, "process": os.getpid()}
        # Nothing is remembered: the app does that, for as long as its visitors are there.
        self._engine = Engine(
            load, lambda: Segmenter.load(device="cpu"), capacity=ONGOING + 1, cache_bytes=0
        )
        # Ready when the network is; what cannot be loaded is said now.
        self._engine.run(self, lambda _: None).result()

    async def check_health(self) -> None:
        """Segment a small photo. Ray replaces a replica in which that fails, or does not end."""
        try:
            ticket = self._engine.segment(self, np.full((33, 33, 3), 127, np.uint8))
        except Busy:
            return  # it computes for others
        await asyncio.wrap_future(ticket.future)

    async def __call__(self, request: Request) -> Response:
        """`POST /segment` a photo for its answer, `GET /health` for what answers here."""
        match request.method, request.url.path.rstrip("/").rpartition("/")[2]:
            case "GET", "health":
                return JSONResponse(self._about)
            case "POST", "segment":
                return await self._segment(request)
        return PlainTextResponse("there is GET /health and POST /segment", 404)

    async def _segment(self, request: Request) -> Response:
        message = bytearray()
        async for piece in request.stream():
            message += piece
            if len(message) > wire.PHOTO_BYTES:
                return PlainTextResponse(f"longer than {wire.PHOTO_BYTES} bytes", 413)
        try:
            photo, weights = wire.read_photo(bytes(message))
        except wire.WireError as error:
            return PlainTextResponse(str(error), 400)
        if weights != self._about["weights"]:
            return PlainTextResponse("other weights here: use the same version on both sides", 409)
        try:
            ticket = self._engine.segment(object(), photo)
        except Busy as busy:
            return PlainTextResponse(str(busy), 503)
        try:
            answer = await asyncio.wrap_future(ticket.future)
        finally:
            ticket.cancel()  # does nothing to one that is done; else the client has gone
        return Response(wire.write_answer(answer), media_type="application/octet-stream")
