"""Items of the stages that go on from the stills and the sound of clips, extracted or adopted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from avis_data.ledger import Ledger, Made
from avis_data.pipelines.engine.spec import Candidates, Current
from avis_data.pipelines.engine.stage import Input, Item, RecordText
from avis_data.records import Record

__all__ = ["ClipItems"]


@dataclass(frozen=True, kw_only=True)
class ClipItems:
    """What a stage makes its items of."""

    request: type[Record]
    """What a worker is told: the id of the clip, then facts."""
    facts: Sequence[str]
    """Of the stage before, in the order of the request."""
    inputs: Mapping[str, str]
    """Names of the stage's inputs, and of the outputs that they are."""
    home: str
    """Folder of the outputs, in the workspace."""

    def of(self, ledger: Ledger) -> Candidates:
        """One item per wanted clip whose stills and sound are there; the others wait."""
        found = Candidates()
        found.items = self._items(ledger, found)
        return found

    def _items(self, ledger: Ledger, found: Candidates) -> Iterator[Item]:
        yield from self._made_by("extract", ledger.wanted_made("extract", *self.facts), found)
        yield from self._made_by("adopt", ledger.adopted_made("adopt", *self.facts), found)

    def _made_by(self, stage: str, rows: Iterable[tuple[str, Made | None]], found: Candidates) -> Iterator[Item]:
        for clip_id, made in rows:
            if made is None:
                found.num_waiting += 1
                continue
            yield Item(
                item_id=clip_id,
                record=RecordText.of_clip(self.request, clip_id, self.facts, made.facts),
                inputs={name: Input.of(made.output(stage, output)) for name, output in self.inputs.items()},
                home=self.home,
            )

    def current(
        self, ledger: Ledger, stage: str, stage_hash: Callable[[str | None], str], *, fact: str | None = None
    ) -> Current:
        """The clips of which a stage made what it would make now; `stage_hash` is given that fact of a finished one."""
        texts = partial(ledger.key_texts.of_clips, stage, facts=self.facts, inputs=self.inputs, fact=fact)

        def wanted() -> Iterator[Item]:
            return self._made_by("extract", ledger.wanted_made("extract", *self.facts), Candidates())

        def adopted() -> Iterator[Item]:
            return self._made_by("adopt", ledger.adopted_made("adopt", *self.facts), Candidates())

        parts = ((texts("wanted", "extract"), wanted), (texts("adopted", "adopt"), adopted))
        return Current(parts=parts, stage_hash=stage_hash)
