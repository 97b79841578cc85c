"""What ``xnect calibrate`` shows: the picture, the corners found now, the fields that had corners, and advice."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from xnect.capture.calibrating import FIELDS, Views
from xnect.structures import F32, U8


def draw(image_bgr: U8, views: Views, found: tuple[F32, Any] | None, text: str) -> U8:
    """A picture of at most 1280 px across: fields with corners green, corners found now as dots, advice below."""
    scale = min(1.0, 1280 / image_bgr.shape[1])
    canvas = cv2.resize(image_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = canvas.shape[:2]
    tint = canvas.copy()
    if len(views):
        for y, x in np.argwhere(views.covered()):
            low = (x * width // FIELDS[0], y * height // FIELDS[1])
            high = ((x + 1) * width // FIELDS[0], (y + 1) * height // FIELDS[1])
            cv2.rectangle(tint, low, high, (60, 160, 60), -1)
    canvas = cv2.addWeighted(canvas, 0.75, tint, 0.25, 0)
    for points in views.points_px:
        hull = cv2.convexHull((points * scale).astype(np.int32))
        cv2.polylines(canvas, [hull], True, (60, 200, 60), 1, cv2.LINE_AA)
    if found is not None:
        for x, y in (found[0] * scale).astype(int).tolist():
            cv2.circle(canvas, (x, y), 4, (0, 160, 255), -1, cv2.LINE_AA)
    words = text or views.advice()
    cv2.rectangle(canvas, (0, height - 34), (width, height), (30, 30, 30), -1)
    cv2.putText(
        canvas,
        f"{words}   (q ends)",
        (10, height - 11),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.55,
        (240, 240, 240),
        1,
        cv2.LINE_AA,
    )
    return np.asarray(canvas, np.uint8)
