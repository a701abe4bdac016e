"""How much faster a 12-megapixel JPEG is decoded at a reduced scale than at full scale.

Usage: python benchmarks/large_jpeg.py PHOTO.jpg

The photo is enlarged to 4000 x 3000 pixels in memory, then decoded alternately by imgclf and by
Pillow at full scale, both to 150 x 150 pixels. Printed are milliseconds of processor time (best of
five) and their ratio.
"""

from __future__ import annotations

import io
import sys
import time
from typing import TYPE_CHECKING

from PIL import Image

from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = (4000, 3000)
TARGET = (150, 150)


def main() -> None:
    """Measure and print."""
    stream = io.BytesIO()
    Image.open(sys.argv[1]).convert("RGB").resize(SIZE).save(stream, "JPEG", quality=90)
    content = stream.getvalue()

    def full_scale() -> None:
        Image.open(io.BytesIO(content)).resize(TARGET, Image.Resampling.BILINEAR)

    ours, plain = [], []
    for _ in range(5):
        ours.append(milliseconds(lambda: decode(content, InputPolicy(TARGET))))
        plain.append(milliseconds(full_scale))
    print(f"imgclf {min(ours):.1f} ms, full scale {min(plain):.1f} ms")
    print(f"{min(plain) / min(ours):.1f} times as fast")


def milliseconds(work: Callable[[], object]) -> float:
    """Return the processor time that one call takes."""
    began_s = time.thread_time()
    work()
    return 1000 * (time.thread_time() - began_s)


if __name__ == "__main__":
    main()
