"""Train classifiers on data whose labels are partly wrong, and say which labels are wrong."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labelnoise.tasks import add_noise as add_noise
    from labelnoise.tasks import audit_files as audit_files
    from labelnoise.tasks import demo as demo
    from labelnoise.tasks import draw_review_sample as draw_review_sample
    from labelnoise.tasks import fit as fit
    from labelnoise.tasks import predict as predict
    from labelnoise.tasks import review as review
    from labelnoise.tasks import study as study

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "add_noise",
    "audit_files",
    "demo",
    "draw_review_sample",
    "fit",
    "predict",
    "review",
    "study",
]


def __getattr__(name: str) -> Any:
    """Import a task when it is first asked for (PEP 562), so that ``labelnoise --help`` never imports torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from labelnoise import tasks

    return getattr(tasks, name)


def __dir__() -> list[str]:
    return __all__
