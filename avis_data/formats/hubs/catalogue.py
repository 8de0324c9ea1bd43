"""Croissant's JSON-LD: what files a set has, with their hashes, what is in their columns, and how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from avis_data.errors import ConfigError, DataError
from avis_data.formats.hubs import statements
from avis_data.formats.hubs.about import About
from avis_data.formats.hubs.croissant import CATALOGUE, Publication
from avis_data.formats.hubs.parquet_files import has_clips, read_parquet_files
from avis_data.formats.hubs.parquet_set import write_parquet_set
from avis_data.formats.hubs.plain import Plain
from avis_data.formats.hubs.statements import Counted
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.files import opened_set
from avis_data.formats.sets.layout import foreign_path
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.io import read_json, sha256_file, write_json

__all__ = ["read_catalogue", "write_catalogue"]

_CROISSANT = "http://mlcommons.org/croissant/"
_CONFORMS = [f"{_CROISSANT}1.1", f"{_CROISSANT}RAI/1.0"]
_PARQUET = "application/x-parquet"  # mlcroissant 1.1.1 does not load the registered application/vnd.apache.parquet
_KINDS = {".parquet": _PARQUET, ".csv": "text/csv", ".md": "text/markdown"}
_CONTEXT: Plain = {  # as mlcroissant 1.1.1 writes it; it does not load the one that the specification prints
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": _CROISSANT,
    "dct": "http://purl.org/dc/terms/",
    "rai": f"{_CROISSANT}RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet"),
            *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
            "transform",
        )
    },
}
_CLIPS: dict[str, tuple[str, str]] = {
    "clip_id": ("sc:Text", "The name of the clip."),
    "width": ("sc:Integer", "Pixels."),
    "height": ("sc:Integer", "Pixels."),
    "fps": ("sc:Float", "Stills in one second."),
    "has_truth": ("sc:Boolean", "False: the labels are not given."),
    "license": ("sc:Text", "Of the source video; null: not stated."),
    "source": ("sc:Text", "Clips of one source must be in one split."),
    "url": ("sc:URL", "Where the source video was."),
    "start_s": ("sc:Float", "Where the clip begins in the source video, in seconds."),
}
_MASKS: dict[str, tuple[pa.DataType, str, str]] = {
    "clip_id": (pa.string(), "sc:Text", "The name of the clip."),
    "split": (pa.string(), "sc:Text", "train, val or test; null: the set is not divided."),
    "track_id": (pa.string(), "sc:Text", "The object, one in all stills of its clip."),
    "category": (pa.string(), "sc:Text", "Of the object; null: not said."),
    "still": (pa.int32(), "sc:Integer", "The number of the still in images of its clip, from 0."),
    "height": (pa.int32(), "sc:Integer", "Pixels."),
    "width": (pa.int32(), "sc:Integer", "Pixels."),
    "counts": (pa.string(), "sc:Text", "COCO's compressed run lengths."),
    "sounding": (pa.bool_(), "sc:Boolean", "Whether the object is heard in that second; null: nobody said."),
}
_MASK_ROWS = 2_000
"""So many masks are in one row group."""


def write_catalogue(
    folder: Path, clips: Clips, facts: SetFacts, *, shard_mb: int, about: About, publication: Publication
) -> list[str]:
    """Write the Parquet files, the table of masks, and the description of all; gives their names.

    Raises:
        ConfigError: if an option has a value that cannot be.
    """
    if publication.published is not None:
        try:
            date.fromisoformat(publication.published)
        except ValueError:
            raise ConfigError(f"--published {publication.published}: must be a day as 2026-11-29") from None
    written = write_parquet_set(folder, clips, facts, shard_mb=shard_mb, about=about)
    names = [*written.names, _write_masks(folder, clips)]
    catalogue = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS,
        **_facts(facts, written.counted, publication),
        **_rai(facts, written.counted, about),
        "distribution": [*(_file(folder, name) for name in sorted(names)), _clip_files()],
        "recordSet": [_clip_records(), _mask_records()],
    }
    write_json(folder / CATALOGUE, catalogue)
    return [*names, CATALOGUE]


def _facts(facts: SetFacts, counted: Counted, publication: Publication) -> Plain:
    """What stands in any catalogue. A day, a page and a name are never made up."""
    year = (publication.published or "")[:4]
    cited = f"@misc{{{re.sub(r'[^A-Za-z0-9]+', '-', facts.name)}, title={{{facts.name}}}, version={{{facts.version}}}"
    cited += "".join(
        f", {key}={{{value}}}" for key, value in (("author", publication.creator), ("year", year)) if value
    )
    said = {
        "name": facts.name,
        "description": statements.summary(facts, counted),
        "version": facts.version,
        "license": statements.license_urls(counted),
        "citeAs": publication.cite_as or f"{cited}}}",
        "url": publication.page,
        "creator": publication.creator and {"@type": "sc:Organization", "name": publication.creator},
        "datePublished": publication.published,
        "keywords": ["audio-visual", "instance segmentation", "sound source"],
    }
    return {name: value for name, value in said.items() if value}


def _rai(facts: SetFacts, counted: Counted, about: About) -> Plain:
    """Croissant's vocabulary of responsible AI."""
    said = {
        "dataCollection": statements.collection(facts, counted),
        "dataCollectionMissingData": statements.unsaid(counted),
        "dataPreprocessingProtocol": statements.embeddings(facts, counted),
        "dataAnnotationProtocol": statements.labelling(facts),
        "dataAnnotationAnalysis": statements.agreement(about.agreement_text()),
        "machineAnnotationTools": statements.tools(facts),
        "dataBiases": statements.balance(counted),
        "dataLimitations": statements.limits(facts, counted),
        "dataUseCases": "To train and to evaluate models that find which objects make the sound, and their masks.",
        "personalSensitiveInformation": statements.people(counted),
        "dataReleaseMaintenancePlan": statements.removal(about.contact),
    }
    return {f"rai:{name}": value for name, value in said.items() if value}


def _file(folder: Path, name: str) -> Plain:
    path = folder / name
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _KINDS[path.suffix],
        "sha256": sha256_file(path),
    }


def _clip_files() -> Plain:
    return {
        "@type": "cr:FileSet",
        "@id": "clip-files",
        "name": "clip-files",
        "description": "All files with clips.",
        "encodingFormat": _PARQUET,
        "includes": "data/*.parquet",
    }


def _clip_records() -> Plain:
    source = {"fileSet": {"@id": "clip-files"}}
    fields = [
        _field("clips", name, kind, told, source | {"extract": {"column": name}})
        for name, (kind, told) in _CLIPS.items()
    ]
    named = {"extract": {"fileProperty": "filename"}, "transform": {"regex": r"^(.+)-\d+-of-\d+\.parquet$"}}
    fields.append(_field("clips", "split", "sc:Text", "train, val or test; clips: not divided.", source | named))
    pictures = source | {"extract": {"column": "images"}, "transform": {"jsonPath": "bytes"}}
    fields.append(_field("clips", "images", "sc:ImageObject", "The stills.", pictures) | {"repeated": True})
    sound = source | {"extract": {"column": "audio"}, "transform": {"jsonPath": "bytes"}}
    fields.append(_field("clips", "audio", "sc:AudioObject", "The sound, a WAV file.", sound))
    rows = {"cr:isArray": True, "cr:arrayShape": "-1,128"}
    told = "VGGish of each still; null: there are none."
    fields.append(
        _field("clips", "embeddings", "sc:Float", told, source | {"extract": {"column": "embeddings"}}) | rows
    )
    return _records("clips", "A clip in each.", "clip_id", fields)


def _mask_records() -> Plain:
    source = {"fileObject": {"@id": "masks.parquet"}}
    fields = [
        _field("masks", name, kind, told, source | {"extract": {"column": name}})
        for name, (_, kind, told) in _MASKS.items()
    ]
    return _records("masks", "A mask of one object in one still in each.", None, fields)


def _records(name: str, told: str, key: str | None, fields: list[Plain]) -> Plain:
    by = {} if key is None else {"key": {"@id": f"{name}/{key}"}}
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": told, **by, "field": fields}


def _field(records: str, name: str, kind: str, told: str, source: Mapping[str, object]) -> Plain:
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": name,
        "description": told,
        "dataType": kind,
        "source": source,
    }


def _write_masks(folder: Path, clips: Clips) -> str:
    """Write the table of masks; gives its name."""
    name = "masks.parquet"
    schema = pa.schema({name: kind for name, (kind, _, _) in _MASKS.items()})
    rows: list[Plain] = []
    with pq.ParquetWriter(folder / name, schema, compression="zstd") as writer:
        for row in _mask_rows(clips):
            rows.append(row)
            if len(rows) == _MASK_ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return name


def _mask_rows(clips: Clips) -> Iterator[Plain]:
    for clip in clips():
        for track in clip.tracks:
            for number, mask in enumerate(track.masks):
                if mask is not None:
                    yield {
                        "clip_id": clip.name,
                        "split": clip.split,
                        "track_id": track.track_id,
                        "category": track.category,
                        "still": number,
                        "height": mask.height,
                        "width": mask.width,
                        "counts": mask.counts,
                        "sounding": track.sounding[number],
                    }


def read_catalogue(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of the Parquet files that a `croissant.json` describes, in the order of their names.

    Raises:
        DataError: if there is no such file, it is of a newer version, describes no such Parquet files, or one of them
            is not there or not what it was.
    """
    with opened_set(path) as root:
        catalogue = root if root.is_file() else root / CATALOGUE
        said = read_json(catalogue)
        if not isinstance(said, dict):
            raise DataError(f"{catalogue}: must be an object (found {said!r:.60})")
        _check_version(catalogue, said)
        files = [file for file in _described(catalogue, said) if has_clips(file)]
        if not files:
            raise DataError(
                f"{catalogue}: describes no Parquet file with the columns clip_id, images and tracks",
                hint="other sets of Croissant have no clips with masks that could be told from their fields",
            )
        yield from read_parquet_files(files)


def _check_version(catalogue: Path, said: Mapping[str, object]) -> None:
    """Versions 1.x are read."""
    conforms = said.get("conformsTo", said.get("dct:conformsTo"))
    texts = [text for text in (conforms if isinstance(conforms, list) else [conforms]) if isinstance(text, str)]
    found = [
        match[1] for text in texts if (match := re.fullmatch(r"https?://mlcommons\.org/croissant/(\d+)\..*", text))
    ]
    if "1" not in found:
        raise DataError(f"{catalogue}: conformsTo: must name Croissant 1.x (found {conforms!r:.100})")


def _described(catalogue: Path, said: Mapping[str, object]) -> list[Path]:
    """The Parquet files of its distribution, by name, their hashes compared."""
    entries = said.get("distribution")
    if not isinstance(entries, list):
        raise DataError(f"{catalogue}: distribution: must be a list (found {entries!r:.60})")
    found: dict[Path, None] = {}
    for place, entry in enumerate(entries):
        where = f"{catalogue}: distribution[{place}]"
        if not isinstance(entry, dict):
            raise DataError(f"{where}: must be an object (found {entry!r:.60})")
        url, includes = entry.get("contentUrl"), entry.get("includes")
        if isinstance(url, str) and url.endswith(".parquet"):
            found[_file_of(catalogue, where, url, entry.get("sha256"))] = None
        for pattern in includes if isinstance(includes, list) else [includes]:
            if isinstance(pattern, str) and pattern.endswith(".parquet"):
                found |= dict.fromkeys(_files_of(catalogue, where, pattern))
    return sorted(found)


def _file_of(catalogue: Path, where: str, url: str, sha256: object) -> Path:
    try:
        file = catalogue.parent / foreign_path(url.rpartition("/")[2] if "://" in url else url)
    except DataError as error:
        raise DataError(f"{where}: contentUrl: {error}") from None
    if not file.is_file():
        raise DataError(f"{where}: contentUrl: {url:.100} is not beside it", hint="get the files that it describes")
    if isinstance(sha256, str) and sha256_file(file) != sha256.lower():
        raise DataError(f"{file}: is not the file that {catalogue.name} describes (sha256)", hint="get it again")
    return file


def _files_of(catalogue: Path, where: str, pattern: str) -> list[Path]:
    try:
        inside = foreign_path(pattern)
        return [file for file in catalogue.parent.glob(inside.as_posix()) if file.is_file()]
    except (DataError, ValueError, NotImplementedError) as error:
        raise DataError(f"{where}: includes: {error}") from None
