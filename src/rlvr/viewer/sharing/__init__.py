"""What is recorded of a run as one file for others: chosen, without secrets, complete in itself."""

from rlvr.viewer.sharing.desk import Beside, desk_for_file, judging_for_file
from rlvr.viewer.sharing.files import SharedFile, records_file, report_file
from rlvr.viewer.sharing.options import NOT_REDACTED, Options
from rlvr.viewer.sharing.texts import records_text, report_text

__all__ = [
    "NOT_REDACTED",
    "Beside",
    "Options",
    "SharedFile",
    "desk_for_file",
    "judging_for_file",
    "records_file",
    "records_text",
    "report_file",
    "report_text",
]
