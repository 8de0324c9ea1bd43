"""Passwords, tokens and signatures in addresses reach neither logs nor records."""

from __future__ import annotations

import pytest

from avis_data.log import hide_secrets, redact, redact_url


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
        (
            "https://x.org/a?Expires=1700000000&AWSAccessKeyId=AKIA1",
            "https://x.org/a?Expires=REDACTED&AWSAccessKeyId=REDACTED",
        ),
        (
            "https://x.org/a?sv=2022-11-02&se=2030&sr=b&sig=ab%2Fc%3D",
            "https://x.org/a?sv=2022-11-02&se=2030&sr=b&sig=REDACTED",
        ),
        (
            "https://x.org/a?auth_key=17-0-0-ab&authToken=b&lsig=c",
            "https://x.org/a?auth_key=REDACTED&authToken=REDACTED&lsig=REDACTED",
        ),
        (
            "https://x.org/a?PHPSESSID=ab1&api-key=b&bearer=c",
            "https://x.org/a?PHPSESSID=REDACTED&api-key=REDACTED&bearer=REDACTED",
        ),
        (
            "https://x.org/a?keyword=cat&author=me&design=3&signal=4",
            "https://x.org/a?keyword=cat&author=me&design=3&signal=4",
        ),
        ("https://x.org/a?authorization=b", "https://x.org/a?authorization=REDACTED"),
        ("https://x.org/a?x=eyJhbGciOiJI.eyJzdWIiOi.s-_1", "https://x.org/a?x=REDACTED"),
        (f"https://x.org/a?h={'9f' * 20}&id={'9f' * 20}", f"https://x.org/a?h=REDACTED&id={'9f' * 20}"),
        ("https://x.org/a?go=https%3A%2F%2Fy.org%2F%3Ftoken%3Dab", "https://x.org/a?go=REDACTED"),
        (
            "https://x.org/hdntl=exp=1~acl=/*~data=hdntl~hmac=ab/a.mp4",
            "https://x.org/hdntl=REDACTED~acl=/*~data=hdntl~hmac=REDACTED/a.mp4",
        ),
        ("https://x.org/a;jsessionid=AB12?v=1", "https://x.org/a;jsessionid=REDACTED?v=1"),
        ("https://x.org/eyJhbGciOiJI.eyJzdWIiOi.s/a.m3u8", "https://x.org/REDACTED/a.m3u8"),
        ("ftp://me:pw@x.org/a.mp4", "ftp://x.org/a.mp4"),
    ],
)
def test_addresses_keep_what_names_the_video_only(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize("url", ["https://x.org/a?" + "a=?" * 20000, "https://x.org/" + "~a=" * 20000, "x" * 100000])
def test_hostile_addresses_take_no_time_and_no_stack(url: str) -> None:
    assert redact_url(url).startswith(url[:10]) and redact(url)


def test_secrets_that_stand_alone_are_found_where_their_address_is_known() -> None:
    url = "https://me:hunter22@x.org/a.mp4?token=T0ken%2Bvalue&v=clip7"
    text = "KeyError('T0ken+value'), T0ken%2Bvalue in [generic] clip7; me:hunter22; hunter22"
    assert hide_secrets(text, url) == "KeyError('REDACTED'), REDACTED in [generic] clip7; REDACTED; REDACTED"


def test_addresses_inside_text_are_found() -> None:
    text = "failed at 'https://u:p@h.org/x?sig=1' and http://h.org/y?key=2&a=3 today"
    assert redact(text) == "failed at 'https://h.org/x?sig=REDACTED' and http://h.org/y?key=REDACTED&a=3 today"
