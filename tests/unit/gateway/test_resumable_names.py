"""Names of files that are no text."""

from __future__ import annotations

import pytest

from domain.errors import InvalidRequestError
from gateway.protocol.resumable_names import file_name


@pytest.mark.parametrize("text", ["a\udcff", "\udcff%41", "%ff", "%c3"])
def test_bytes_that_are_no_text_name_nothing(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        file_name({"Content-Disposition": f"inline; filename*=UTF-8''{text}"})
    assert file_name({"Content-Disposition": f"inline; filename=plain; filename*=UTF-8''{text}"}) == "plain"
