"""The fence between what may fail and training, which must not notice."""

import logging
import threading

logger = logging.getLogger("rlvr")


class Fence:
    """Turns the failures of one place into a count and one traceback for each outage.

    An outage begins with a failure and ends with the next success.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.failures = 0
        self.outages = 0
        self.down = False
        self.last_error: str | None = None
        self._lock = threading.Lock()

    def failed(self, error: BaseException, consequence: str) -> None:
        """Count a failure; the first of an outage is logged with its traceback."""
        with self._lock:
            begins = not self.down
            self.down = True
            self.failures += 1
            self.outages += begins
            self.last_error = f"{type(error).__name__}: {error}".removesuffix(".")
        if begins:
            logger.error(
                "%s failed: %s. %s Training goes on; further failures are counted silently until "
                "it works again.",
                self.place,
                self.last_error,
                consequence,
                exc_info=error,
            )

    def worked(self) -> None:
        """Note a success; it ends an outage."""
        if not self.down:
            return
        with self._lock:
            self.down = False
        logger.warning("%s works again after %d failures.", self.place, self.failures)
