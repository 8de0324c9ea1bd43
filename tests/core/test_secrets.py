"""Passwords, tokens and signatures in addresses reach neither logs nor records."""

from __future__ import annotations

import pytest

from avis_data.log import redact, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.org/a.mp4", "https://x.org/a.mp4"),
        ("https://me:pw@x.org/a.mp4", "https://x.org/a.mp4"),
        ("https://x.org/a?v=1&token=abc", "https://x.org/a?v=1&token=REDACTED"),
        ("https://x.org/a?X-Amz-Signature=f00&part=2", "https://x.org/a?X-Amz-Signature=REDACTED&part=2"),
        ("https://x.org/watch?v=Xk3_aB&t=3s", "https://x.org/watch?v=Xk3_aB&t=3s"),
    ],
)
def test_addresses_keep_what_names_the_video_only(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_addresses_inside_text_are_found() -> None:
    text = "failed at 'https://u:p@h.org/x?sig=1' and http://h.org/y?key=2&a=3 today"
    assert redact(text) == "failed at 'https://h.org/x?sig=REDACTED' and http://h.org/y?key=REDACTED&a=3 today"
