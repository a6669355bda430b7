"""The labels to review, each with its picture or text, small enough for one page."""

import base64
import io
import json
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from labelnoise.audit import Audit

_PAGE = 7_000_000  # characters: a browser opens that at once, and it can still be mailed
_SIDE = 128  # pixels of a thumbnail's longer side
_LOSSLESS = 40  # pixels; what is no larger is enlarged on the page, where JPEG would show its blocks
_TEXT = 2_000  # characters


class Shown(NamedTuple):
    """What a person looks at to judge a label."""

    image: UInt8[Tensor, "c h w"] | None
    """Of one channel or three."""
    text: str
    """The text itself, or of a table a line ``column: value`` for each column; empty for a picture."""


class Card(NamedTuple):
    """One label to review; the script of the page reads it by these names."""

    index: int  # pyright: ignore[reportIncompatibleMethodOverride] (hides tuple.index)
    """The row in the data set."""
    id: str
    image: str
    """A data address, so that the page needs no other file; empty without a picture."""
    text: str
    given: int
    suggested: int
    p_wrong: float
    flagged: bool


def cards(
    audit: Audit,
    ids: tuple[str, ...],
    show: Callable[[int], Shown],
    *,
    rows: int,
    decided: frozenset[int] = frozenset(),
) -> list[Card]:
    """Up to ``rows`` labels with the largest p_wrong, the largest first: as many as fit in a page of 7 MB.

    Args:
        audit: what was found.
        ids: a name for each row of the audit.
        show: from a position in the audit to what is shown of it; only asked for what is on the page.
        rows: the largest number of cards.
        decided: positions in the audit that are left out.
    """
    flagged, room = audit.is_issue, _PAGE
    found: list[Card] = []
    ranked = (row for row in np.argsort(-audit.p_wrong, kind="stable").tolist() if row not in decided)
    for row in islice(ranked, rows):
        image, text = show(row)
        card = Card(
            index=int(audit.index[row]),
            id=ids[row],
            image="" if image is None else _address(image),
            text=text if len(text) <= _TEXT else f"{text[:_TEXT]} … ({len(text) - _TEXT:,} more characters)",
            given=int(audit.given[row]),
            suggested=int(audit.suggested[row]),
            p_wrong=round(float(audit.p_wrong[row]), 4),
            flagged=bool(flagged[row]),
        )
        room -= len(json.dumps(card._asdict()))
        if room < 0:
            break
        found.append(card)
    return found


def _address(pixels: UInt8[Tensor, "c h w"]) -> str:
    """As data address: small pictures as they are, larger ones as a thumbnail."""
    image = Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy())
    kind = "png" if max(image.size) <= _LOSSLESS else "jpeg"
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, kind, quality=80)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
