"""BibTeX of what a study used, from ``references.bib``."""

from collections.abc import Sequence
from importlib.resources import files

from labelnoise.runs import Run

_ALWAYS = ("zhang2018generalized", "pleiss2020identifying")  # the losses, and the ranking of wrong labels
_BY_NAME = {  # several keys with a space between
    "mae": "ghosh2017robust",
    "forward": "patrini2017making",
    "open_set": "wang2018iterative",
    "map_flip": "patrini2017making",
    "cifar10_map": "patrini2017making",
    "cifar100_circular": "patrini2017making",
    "cifar100_superclass": "patrini2017making",
    "fashion_mnist_map": "patrini2017making",
    "pair_flip": "han2018co",
    "instance_dependent": "xia2020part",
    "lenet": "lecun1998gradient",
    "resnet": "he2016deep",
    "resnet18": "he2016deep",
    "resnet34": "he2016deep",
    "lsa": "deerwester1990indexing",
    "digits": "alpaydin1998optical",
    "fashion-mnist": "xiao2017fashion",
    "cifar10": "krizhevsky2009learning",
    "cifar100": "krizhevsky2009learning",
    "cifar10n": "wei2022learning krizhevsky2009learning",
    "cifar100n": "wei2022learning krizhevsky2009learning",
    "clinc150": "larson2019evaluation",
}


def bibtex(runs: Sequence[Run]) -> str:
    """The entries for the data, losses, noise, network and features of ``runs``.

    >>> bibtex([]).count("@")
    2
    """
    parts = (
        part
        for run in runs
        for part in (run.config.dataset, run.config.loss, run.config.noise, run.config.model, run.config.features)
    )
    keys = dict.fromkeys([*_ALWAYS, *(key for part in parts if part for key in _BY_NAME.get(part.name, "").split())])
    text = (files("labelnoise.reports") / "references.bib").read_text()
    entries = {entry[entry.index("{") + 1 : entry.index(",")]: entry.strip() for entry in text.split("\n\n")}
    return "\n\n".join(entries[key] for key in keys)
