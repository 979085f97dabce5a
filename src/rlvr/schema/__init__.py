"""The columns of the record, declared once."""
