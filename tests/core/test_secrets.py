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
        ("https://x.org/watch?v=a&id=b&list=c&t=4&page=5&q=6", "https://x.org/watch?v=a&id=b&list=c&t=4&page=5&q=6"),
        ("https://x.org/a?start=3&state=4&hashtag=5&steps=6", "https://x.org/a?start=3&state=4&hashtag=5&steps=6"),
        ("https://x.org/a.mp4#access_token=abc", "https://x.org/a.mp4"),
        ("https://x.org/a.mp4?v=1#t=10,20", "https://x.org/a.mp4?v=1"),
        ("https://x.org/a?st=abc&e=1", "https://x.org/a?st=REDACTED&e=1"),
        ("https://x.org/a?hash=abc&id=1", "https://x.org/a?hash=REDACTED&id=1"),
        ("https://x.org/a?url_hash=abc", "https://x.org/a?url_hash=REDACTED"),
        ("https://x.org/a?hdnea=abc", "https://x.org/a?hdnea=REDACTED"),
        ("https://x.org/a?hdnts=exp%3D1~hmac%3Dff", "https://x.org/a?hdnts=REDACTED"),
        ("https://x.org/a?Policy=abc", "https://x.org/a?Policy=REDACTED"),
        ("https://x.org/a?Key-Pair-Id=abc", "https://x.org/a?Key-Pair-Id=REDACTED"),
        ("https://x.org/a?md5=ab&exp=2", "https://x.org/a?md5=REDACTED&exp=REDACTED"),
        ("https://x.org/a?jwt=ab", "https://x.org/a?jwt=REDACTED"),
        ("http://[::1/me:pw@x", "http://REDACTED"),
    ],
)
def test_addresses_keep_what_names_the_video_only(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_addresses_inside_text_are_found() -> None:
    text = "failed at 'https://u:p@h.org/x?sig=1' and http://h.org/y?key=2&a=3 today"
    assert redact(text) == "failed at 'https://h.org/x?sig=REDACTED' and http://h.org/y?key=REDACTED&a=3 today"
