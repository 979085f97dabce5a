"""Other tools' recordings: recognised by what they hold, read in bounded memory, imported as a run.

What a source does not hold stays None in the record, is named in `RunInfo.absent`, and makes the
causes that need it unknown.
"""

from rlvr.interchange.foreign import DamagedPlace, Format, GroupBy, Options
from rlvr.interchange.importing import Progress, import_source
from rlvr.interchange.recognise import FORMATS, Recognised, recognise
from rlvr.interchange.report import ImportReport

__all__ = [
    "FORMATS",
    "DamagedPlace",
    "Format",
    "GroupBy",
    "ImportReport",
    "Options",
    "Progress",
    "Recognised",
    "import_source",
    "recognise",
]
