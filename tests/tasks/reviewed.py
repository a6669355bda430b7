"""Makers of data in every format, audited, as a review finds them."""

import csv
import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelnoise.audit import audit_labels

CLASSES = ("<script>alert(1)</script>", "=cat", 'a "cow", once', "two\nlines")
N = 120


def labels(n=N, classes=CLASSES):
    return [classes[row % len(classes)] for row in range(n)]


def write_table(path, given):
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"text": [f"t{row}" for row in range(len(given))], "label": given}), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"label": label, "n": row}) + "\n" for row, label in enumerate(given)))
    else:
        with path.open("w", newline="") as file:  # CRLF and a byte order mark: bytes that must stay
            file.write("\ufeff")
            csv.writer(file).writerows([("text", "label"), *((f"=x\n{row}", label) for row, label in enumerate(given))])


def audit_folder(folder, *, data, kind, given, label=None, labels_file=None, ids=None, with_ids=True):
    """What ``labelnoise fit`` leaves of data whose labels are ``given``: every tenth is suspected."""
    names = sorted(set(given))
    numbers = np.array([names.index(name) for name in given])
    pred_probs = np.full((len(given), len(names)), 0.1 / (len(names) - 1))
    suspected = np.arange(len(given)) % 10 == 0
    pred_probs[np.arange(len(given)), np.where(suspected, (numbers + 1) % len(names), numbers)] = 0.9
    audit = audit_labels(pred_probs, numbers, class_names=names)._replace(ids=ids and tuple(ids))
    header, *rows = list(csv.reader(io.StringIO(audit.to_csv())))
    if not with_ids:  # as the first audits wrote them
        position = header.index("id")
        header, *rows = (row[:position] + row[position + 1 :] for row in (header, *rows))
    folder.mkdir(exist_ok=True)
    write_rows(folder / "labels.csv", header, rows)
    (folder / "summary.json").write_text(json.dumps(audit.summary(), indent=2))
    hashed = labels_file or data
    source = {
        "data": str(data),
        "kind": kind,
        "label": label,
        "labels": str(labels_file) if labels_file else None,
        "sha256": None if kind == "folder" else hashlib.sha256(hashed.read_bytes()).hexdigest(),
    }
    (folder / "source.json").write_text(json.dumps(source))
    return folder


def audited_table(root, *, suffix=".csv", **options):
    write_table(root / f"data{suffix}", labels())
    return audit_folder(
        root / "audit", data=root / f"data{suffix}", kind="table", given=labels(), label="label", **options
    )


def audited_images(root, *, same_names=False):
    ids = []
    for row, label in enumerate(labels(40, ("bird", "cat"))):
        name = f"{label}/deep/{row // 2 if same_names else row:03}.png"
        (root / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "pets" / name).write_bytes(b"image %d" % row)
        ids.append(name)
    ids.sort()
    given = [name.partition("/")[0] for name in ids]
    return audit_folder(root / "audit", data=root / "pets", kind="folder", given=given, ids=ids), ids


def write_rows(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def read_rows(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def decide(path, decisions, *, column="decision"):
    """Fill a column of a table, by index, and leave all else."""
    rows = read_rows(path)
    for row in rows:
        row[column] = decisions.get(int(row["index"]), row[column])
    write_rows(path, list(rows[0]), [list(row.values()) for row in rows])
