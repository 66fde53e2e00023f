"""Format `csv_identities`: images anywhere in the archive, and a table that says who or what is in each.

`data.table` is the table's name in the archive, or `../<name>` if it lies beside it, and `data.columns` says which
columns hold `file` and `identity`, and where there is such, `split` (train, val or test). For names of files see
`find_files`.
"""

from __future__ import annotations

from unicodedata import normalize

from pipeline.data.archive import Archive
from pipeline.data.facts import Facts
from pipeline.data.identities import check_identity_facts, make_identity_samples
from pipeline.data.sources import Sample, read_split
from pipeline.data.table_files import find_files
from pipeline.data.table_rows import note_files, note_repeated, note_splits, open_table, read_cells
from pipeline.data.tables import RowErrors

TARGET = "identity"
FEWEST_CLASSES = 0
FACTS = ("table", "columns")
COLUMNS = ("file", "identity", "split")
NEEDED = ("file", "identity")
check_facts = check_identity_facts


def samples(archive: Archive, facts: Facts) -> list[Sample]:
    """List the images that the table names, sorted by name.

    Raises:
        ConfigError: a row has no file or no identity; its file is missing, or in another row.
    """
    table = open_table(archive, facts)
    cells = read_cells(table, facts)
    files = find_files(cells["file"], table.name, set(archive.names()))
    errors = RowErrors(table)
    note_files(errors, files, archive)
    note_repeated(errors, files)
    is_empty = (not name.strip() for name in cells["identity"])
    errors.note("data.columns.identity", files, is_empty, "give no identity")
    note_splits(errors, files, cells)
    errors.check()
    identities = {
        file: normalize("NFC", name.strip()) for file, name in zip(files, cells["identity"], strict=True)
    }
    splits: dict[str, str] | None = None
    if "split" in cells:
        splits = dict(zip(files, cells["split"], strict=True))
    elif facts.shares is None:
        splits = {file: read_split(file, archive) for file in files}
    return make_identity_samples(identities, splits, facts)
