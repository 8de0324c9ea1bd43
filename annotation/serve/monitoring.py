"""The figures of the segmenter's service for Prometheus: what was asked and how it ended, how long clicks took, what
waits. No figure names a clip, an object or a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import AheadOfClicks
from avis_data.annotation.serve.fills import Fills

__all__ = ["Monitoring"]

_ROUTES = ("/health", "/metrics", "/predict", "/setup", "/versions", "/webhook")
"""The paths by their names; all others count as one, so that a stranger cannot make figures without end."""
_OUTCOMES = {401: "no_token", 422: "refused", 503: "loading"}
_CLICK_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)
"""Up to what Label Studio waits for."""


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What of a service counts for itself."""

    answerer: Answerer
    fills: Fills
    ahead: AheadOfClicks


class Monitoring:
    """One per service, from before its engine is loaded."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._parts: _Parts | None = None
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "avis_segmenter_requests", "Requests by how they ended.", ["route", "outcome"], registry=self._registry
        )
        self._click_s = Histogram(
            "avis_segmenter_click_seconds",
            "From a click to its answer, without the other stills of a box.",
            ["mask"],
            buckets=_CLICK_S,
            registry=self._registry,
        )
        self._registry.register(self)

    def loaded(self, answerer: Answerer, *, fills: Fills, ahead: AheadOfClicks) -> None:
        """The engine is loaded; from now on the parts of the service are asked."""
        self._parts = _Parts(answerer=answerer, fills=fills, ahead=ahead)

    def request(self, path: str, status: int) -> None:
        """Count a request by the path of its address and the status of its answer."""
        outcome = _OUTCOMES.get(status) or ("failed" if status >= 500 else "invalid" if status >= 400 else "answered")
        self._requests.labels(path if path in _ROUTES else "other", outcome).inc()

    def click(self, took_s: float, *, is_found: bool) -> None:
        """Count a click that was answered, with a mask or without."""
        self._click_s.labels("found" if is_found else "none").observe(took_s)

    def page(self) -> tuple[bytes, str]:
        """All figures as Prometheus reads them, and their content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterator[Metric]:
        """What the parts say now (the protocol of `prometheus_client`)."""
        parts = self._parts
        yield GaugeMetricFamily("avis_segmenter_model_loaded", "1 once the engine is loaded.", value=parts is not None)
        if parts is None:
            return
        engine, cache = parts.answerer.segmenter, parts.answerer.cache
        made_by = {"engine": engine.name, "weights_sha256": engine.weights_sha256 or ""}
        yield InfoMetricFamily("avis_segmenter_engine", "What makes the masks.", value=made_by)
        boxes = GaugeMetricFamily(
            "avis_segmenter_fills", "Boxes whose other stills are being filled.", labels=["state"]
        )
        for state, number in zip(("running", "waiting"), parts.fills.count(), strict=True):
            boxes.add_metric([state], number)
        yield boxes
        embeddings = CounterMetricFamily(
            "avis_segmenter_embeddings", "Embeddings of stills that were needed.", labels=["found"]
        )
        embeddings.add_metric(["in_cache"], cache.num_found)
        embeddings.add_metric(["made"], cache.num_missing)
        yield embeddings
        failures = CounterMetricFamily(
            "avis_segmenter_background_failures", "Work that nobody waits for and that failed.", labels=["work"]
        )
        failures.add_metric(["fill"], parts.fills.num_failed)
        failures.add_metric(["embed_ahead"], parts.ahead.num_failed)
        yield failures
