"""Search the texts of a run."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rlvr.errors import ConfigurationError, StoreError
from rlvr.record import Part
from rlvr.runs.files import EVERY_ROW, Damage, Origin, RowFilter
from rlvr.runs.search.database import IndexedFile, indexed_files
from rlvr.runs.search.find import Filters, Found, Sort, find
from rlvr.runs.search.hits import READ, FindSpans, SearchHit, hit, text_spans, word_spans
from rlvr.runs.search.keeping import index_path, kept, remove
from rlvr.runs.search.pieces import storable
from rlvr.runs.search.query import MOST_CHARS, Query, Role, parse
from rlvr.runs.search.segments import Segment, Segments
from rlvr.runs.search.substring import Needle, matching_rows
from rlvr.runs.search.update import IndexProgress, update
from rlvr.store import BatchName
from rlvr.store.layers import Footers

CONTEXT_CHARS = 160
EVERYTHING = Filters()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """What a search found: `total` trajectories of the `searched` ones, and a page of them.

    `notes` says what a person should know: what could not be searched, and why the index was made
    anew or is not kept.
    """

    query: str
    total: int
    searched: int
    sort: Sort
    hits: tuple[SearchHit, ...]
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[SearchHit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What is searched for. `substring` finds the text as it is written; else it is a query.

    `roles` is where words are looked for that say no role themselves; none means everywhere.
    Without a `sort`, relevance where few match and else steps. `context` is in characters.
    """

    text: str
    filters: Filters = EVERYTHING
    roles: tuple[Role, ...] = ()
    substring: bool = False
    sort: Sort | None = None
    limit: int = 20
    offset: int = 0
    context: int = CONTEXT_CHARS


def search(
    folder: Path,
    request: SearchRequest,
    *,
    caches: Path,
    rebuild: bool = False,
    on_progress: Callable[[IndexProgress], None] = lambda _: None,
    origin: Origin | None = None,
    footers: Footers | None = None,
) -> SearchPage:
    """Bring the index of the run in a folder up to its files, and search it.

    `origin` is where its files come from if they are not all there, `footers` what is known of its
    compacted files.

    Raises:
        ConfigurationError: the text is no query.
        StoreError: no index can be made, not even in memory.
    """
    damage = Damage(origin)
    with Segments(folder, damage, footers) as source:
        if request.substring:
            return _by_reading(source, request, damage, on_progress)
        query = parse(request.text, request.roles)
        if rebuild:
            remove(index_path(caches, folder))
        notes: list[str] = []

        def bring_up(connection: sqlite3.Connection) -> bool:
            return update(connection, source, damage, on_progress)

        try:
            with kept(caches, folder, bring_up, notes) as connection:
                return _by_index(connection, source, request, query, notes)
        except sqlite3.Error as error:
            raise StoreError(
                f"the index of {folder} can't be used ({error}); `rlvr search RUN WORDS --rebuild`"
                " makes it anew."
            ) from error


def _by_index(
    connection: sqlite3.Connection,
    source: Segments,
    request: SearchRequest,
    query: Query,
    notes: list[str],
) -> SearchPage:
    """The page of a search in an index that is up to date. `notes` were made on the way to it."""
    files = _shown(source, request.filters, indexed_files(connection))
    found = find(
        connection,
        query.expression,
        files,
        request.filters,
        sort=request.sort,
        limit=request.limit,
        offset=request.offset,
    )
    with word_spans(query.places) as spans:
        hits = tuple(_hits(source, found, spans, request.context))
    return SearchPage(
        query=request.text,
        total=found.total,
        searched=_searched(files, request.filters),
        sort=found.sort,
        hits=hits,
        notes=(*notes, *_lacking(files)),
    )


def _shown(
    source: Segments, filters: Filters, known: Iterable[IndexedFile]
) -> Sequence[IndexedFile]:
    """The files that are looked at, in the order of their steps."""
    outdated = source.supersession()
    return [
        file for file in known if filters.shows(file) and (filters.superseded or not outdated(file))
    ]


def _searched(files: Iterable[IndexedFile], filters: Filters) -> int:
    """How many rollouts of these files are looked at."""
    if filters.rows is not None:
        return sum(len(filters.rows.get(file.stem, ())) for file in files)
    return sum(file.rollouts for file in files)


def _by_step(name: BatchName) -> tuple[int, BatchName]:
    return name.step, name


def _lacking(files: Iterable[IndexedFile]) -> Iterator[str]:
    pruned = sum(file.rollouts for file in files if file.pruned)
    damaged = sum(file.damaged for file in files)
    if pruned:
        yield (
            f"the messages of {pruned:,} of these rollouts were pruned; only their question and"
            " answer are searched."
        )
    if damaged:
        yield (
            f"{damaged:,} of these files are damaged, and searched as far as they can be read;"
            " `rlvr show RUN` names them."
        )


def _hits(source: Segments, found: Found, spans: FindSpans, context: int) -> Iterator[SearchHit]:
    """The hits in the order in which they were found; one that went meanwhile is left out."""
    wanted: dict[BatchName, set[str]] = {}
    ids = []
    for stem, row in found.places:
        name = BatchName.parse(stem)
        if name is not None:
            ids.append(name.record_id(row))
            wanted.setdefault(name, set()).add(ids[-1])
    outdated = source.supersession()
    hits: dict[str, SearchHit] = {}
    for segment in source.named(wanted):
        old = outdated(segment.name)
        for shown in _rows(source, segment, wanted[segment.name]):
            hits[shown["id"]] = hit(shown, spans, context=context, superseded=old)
    yield from (hits[id] for id in ids if id in hits)


def _rows(source: Segments, segment: Segment, ids: set[str]) -> Iterator[dict[str, Any]]:
    """Those rows of a segment."""
    where = RowFilter(id=next(iter(ids))) if len(ids) == 1 else EVERY_ROW
    for piece in source.pieces(segment, READ, where):
        chosen = [id in ids for id in piece.table["id"].to_pylist()]
        yield from piece.table.filter(pa.array(chosen, pa.bool_())).to_pylist()


def _by_reading(
    source: Segments,
    request: SearchRequest,
    damage: Damage,
    on_progress: Callable[[IndexProgress], None],
) -> SearchPage:
    """The page of a search without an index."""
    _check_text(request)
    outdated = source.supersession()
    shows = request.filters.shows
    chosen = [
        segment
        for segment in source.all()
        if shows(segment.name) and (request.filters.superseded or not outdated(segment.name))
    ]
    chosen.sort(key=lambda segment: _by_step(segment.name))
    searched = 0

    def told(at: IndexProgress) -> None:
        nonlocal searched
        searched = at.rollouts
        on_progress(at)

    needle = Needle(text=request.text, roles=request.roles, filters=request.filters)
    spans = text_spans(storable(request.text), request.roles)
    hits, total = [], 0
    for segment, row in matching_rows(source, chosen, needle, damage, told):
        if request.offset <= total < request.offset + request.limit:
            old = outdated(segment.name)
            hits.append(hit(row, spans, context=request.context, superseded=old))
        total += 1
    notes = [str(problem) for problem in damage.files]
    pruning = source.pruning()
    if any(pruning.lacks(segment.name, Part.MESSAGES) for segment in chosen):
        notes.append("messages of some of these rollouts were pruned, and could not be searched.")
    return SearchPage(
        query=request.text,
        total=total,
        searched=searched,
        sort=Sort.STEP,
        hits=tuple(hits),
        notes=tuple(notes),
    )


def _check_text(request: SearchRequest) -> None:
    if not request.text.strip():
        raise ConfigurationError("the text to find is empty.")
    if len(request.text) > MOST_CHARS:
        raise ConfigurationError(
            f"the text to find has {len(request.text):,} characters; at most {MOST_CHARS:,} may be."
        )
    if request.sort is Sort.RELEVANCE:
        raise ConfigurationError("--substring has no relevance; leave --sort out.")
