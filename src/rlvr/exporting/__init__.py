"""Recorded rollouts, written in the formats that other tools read: one file per format."""

from rlvr.exporting.export import FORMATS, ExportReport, export_run
from rlvr.exporting.format import About, Exported, Format

__all__ = ["FORMATS", "About", "ExportReport", "Exported", "Format", "export_run"]
