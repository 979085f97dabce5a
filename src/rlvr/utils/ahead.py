"""Making the next item of an iterator while one is worked on."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Generator[Item, None, None]) -> Iterator[Item]:
    """The items in their order, the next one made by a thread meanwhile.

    It pays where both sides let the interpreter go, as Arrow and DuckDB do. The generator is closed
    when this one is, and what it raises is raised here.
    """
    done = object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="rlvr-ahead") as pool:
            coming = pool.submit(next, items, done)
            while (item := coming.result()) is not done:
                coming = pool.submit(next, items, done)
                yield item  # type: ignore[misc]
                del item
    finally:
        items.close()
