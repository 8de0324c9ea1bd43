"""Whether what was decoded is what the file holds: decoders go on after errors and end as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass

from avis_data.errors import ItemError, Reason
from avis_data.media.decode import Decoded
from avis_data.media.span import SpanPackets

__all__ = ["Damage", "check_damage", "measure_damage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What is wrong with the decoded span."""

    missing_pictures: int
    missing_sound: int
    """Packets of sound that gave no sound."""
    concealed_pictures: int
    """Pictures with parts that the decoder made up."""
    num_errors: int
    """What the decoders complained of, also harmless things."""

    @property
    def is_damaged(self) -> bool:
        """True if something was lost. Neither sign alone would do.

        Decoders complain of much that does no harm (missing references before the first key frame), and some packets
        give no picture by design (VP8's hidden frames, fields); only both together mean damage.
        """
        lost = self.missing_pictures > 0 or self.missing_sound > 0
        return self.concealed_pictures > 0 or (lost and self.num_errors > 0)


def measure_damage(span: SpanPackets, decoded: Decoded) -> Damage:
    """Compare the packets of a span with what came out of the decoders."""
    first = span.picture_pts[0] if span.picture_pts else span.end
    shown = sum(pts >= first for pts in decoded.picture_pts)
    return Damage(
        missing_pictures=max(len(span.picture_pts) - shown, 0),
        missing_sound=max(span.num_sound - decoded.num_sound, 0),
        concealed_pictures=decoded.log.num_concealed,
        num_errors=decoded.log.num_errors,
    )


def check_damage(damage: Damage, span: SpanPackets, *, name: str) -> None:
    """Refuse a span that did not decode whole.

    Raises:
        ItemError: `corrupt_media` with what is lost.
    """
    if damage.is_damaged:
        lost = (
            f"{damage.missing_pictures} of {len(span.picture_pts)} pictures and {damage.missing_sound} of "
            f"{span.num_sound} packets of sound are lost, {damage.concealed_pictures} pictures are partly made up"
        )
        raise ItemError(
            f"{name} is damaged: {lost}; fetch it again, or set extract.corrupt_media: keep in recipe.yaml",
            reason=Reason.CORRUPT_MEDIA,
        )
