"""Where in a photo a served classifier looked, for a few who ask at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from starlette.concurrency import run_in_threadpool

from imgclf.data.pixels.decoder import decode_with_facts
from imgclf.errors import EngineError, ImageError
from imgclf.serving.heat_map_process import HeatMapProcess
from imgclf.serving.problems import Problem, image_problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.pixels.decoder import DecodedImage
    from imgclf.serving.served import Served
    from imgclf.serving.service import Service
    from imgclf.serving.uploads import Upload

__all__ = ["Explanations", "HeatLayer", "can_explain"]

MOST_AT_A_TIME = 4
"""Heat maps that are drawn or wait; each takes a second of a processor, the first one ten."""

RETRY_AFTER_S = 3


@dataclass(frozen=True, slots=True)
class HeatLayer:
    """A heat map to lay over the photo.

    Attributes:
        content: A PNG file, RGBA, of the upright photo's proportions.
        label: The class that it explains.
        method: ``"grad_cam"`` or ``"occlusion"``.
    """

    content: bytes
    label: str
    method: str


def can_explain() -> bool:
    """Tell whether TensorFlow and Keras are installed; neither is imported."""
    return all(find_spec(name) is not None for name in ("tensorflow", "keras"))


class Explanations:
    """Draws heat maps, one after the other.

    Args:
        service: What the routes share.
    """

    def __init__(self, service: Service) -> None:
        self.process = HeatMapProcess()
        self._service = service
        self._asked = 0
        self._own_turn = threading.Lock()

    async def draw(self, served: Served, upload: Upload, label: str | None) -> HeatLayer:
        """Draw the heat map of one photo.

        Args:
            served: The classifier.
            upload: The photo.
            label: The class to explain; None for the most probable one.

        Returns:
            The heat map.

        Raises:
            Problem: There is no TensorFlow, the image cannot be decoded, the class is unknown, too
                many ask, or it cannot be drawn.
        """
        if not can_explain():
            raise _no_tensorflow()
        if label is not None and label not in served.classifier.class_names:
            raise _unknown_class(served, label)
        if self._asked >= MOST_AT_A_TIME:
            raise _busy()
        self._asked += 1
        try:
            decoded = await self._service.compute(lambda: self._decode(served, upload))
            return await run_in_threadpool(self._draw, served, decoded, label)
        finally:
            self._asked -= 1

    def _decode(self, served: Served, upload: Upload) -> DecodedImage:
        service, policy = self._service, served.classifier.policy
        try:
            with service.room_for(upload.content):
                return decode_with_facts(upload.content, policy, service.limits.decoding)
        except ImageError as error:
            raise image_problem([(0, upload.name, error)], 1) from error

    def _draw(self, served: Served, decoded: DecodedImage, label: str | None) -> HeatLayer:
        classifier, pixels = served.classifier, decoded.pixels
        if label is None:
            index = int(classifier.predict_pixels([pixels[np.newaxis]])[0].argmax())
        else:
            index = classifier.class_names.index(label)
        heatmap, method = self._heatmap(served, pixels, index)
        size = decoded.facts.width, decoded.facts.height
        # OpenCV: 20 ms and as many MB, which a server without heat maps does not need.
        from imgclf.serving.heat_layers import heat_layer, heat_over_photo

        layer = heat_layer(heat_over_photo(heatmap, size, classifier.policy.resize))
        return HeatLayer(layer, classifier.class_names[index], method)

    def _heatmap(
        self, served: Served, pixels: NDArray[np.uint8], index: int
    ) -> tuple[NDArray[np.float32], str]:
        classifier = served.classifier
        file = served.path or classifier.record.file
        try:
            if file is None or classifier.record.network.is_built:
                # Its network is in this process, or nowhere else.
                with self._own_turn:
                    maps, method = classifier.draw_heatmaps(pixels[np.newaxis], np.array([index]))
                return maps[0], method
            return self.process.draw(str(file), served.version, pixels, index)
        except EngineError as error:
            raise Problem(
                "engine_failed",
                given="a heat map that failed",
                accepted="a classifier whose network can be built here",
                remedy=str(error).rstrip("."),
            ) from error


def _no_tensorflow() -> Problem:
    return Problem(
        "no_heat_maps",
        given="a request for a heat map",
        accepted="predictions alone: TensorFlow is not installed here",
        remedy="install tensorflow and keras beside the server",
    )


def _unknown_class(served: Served, label: str) -> Problem:
    names = served.classifier.class_names
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return Problem(
        "bad_argument",
        given=f"label={label!r}",
        accepted=", ".join(names[:20]) + more,
        remedy="name one of these",
    )


def _busy() -> Problem:
    return Problem(
        "busy",
        given="a request for a heat map while others wait",
        accepted=f"{MOST_AT_A_TIME} at a time",
        remedy="ask again in a moment",
        headers={"retry-after": str(RETRY_AFTER_S)},
    )
