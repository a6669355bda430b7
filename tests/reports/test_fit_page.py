"""The page as text, and as a person meets it: in a browser, from disk, with mouse and keyboard."""

import base64
import csv
import io
import json
import os
import re
import sys
import time

import numpy as np
import pytest
import torch
from browser import CHROMIUM, browser
from matplotlib.figure import Figure
from PIL import Image

from labelnoise.audit import Audit, Estimate, unescape_cell
from labelnoise.reports.fit_cards import Shown, cards
from labelnoise.reports.fit_page import Candidate, FitFindings, fit_page
from labelnoise.training import EpochMetrics

HOSTILE = (
    "<script>window.pwned = 1</script>",
    "</script><img src=x onerror='window.pwned = 1'>",
    "=cmd()|'/C calc'!A0",
    "'quoted', \"twice\"\nand broken",
    "\u202eright to left \u0634\u0643\u0631\u0627",
    "nul\x00 $x^2$ {{ 7 * 7 }} 0.123456",
)
ids_on_page = "[...document.querySelectorAll('.card .id')].map((node) => node.textContent)"
counter = "document.getElementById('counter').textContent"


def make_audit(n=200, class_names=("cat", "dog", "bird", "fish"), seed=0):
    """Row by row: the given class counts on, every third label has another suggestion, p_wrong is drawn."""
    k = len(class_names)
    given = np.arange(n) % k
    p_wrong = np.random.default_rng(seed).permutation(np.linspace(0.01, 0.985, n))
    suggested = np.where(p_wrong > 0.5, (given + 1) % k, given)
    joint = np.zeros((k, k))
    np.add.at(joint, (suggested, given), p_wrong)
    np.add.at(joint, (given, given), 1 - p_wrong)
    estimate = Estimate(p_wrong.mean(), 0.4, 0.6, 0.45, 0.55)
    return Audit(np.arange(n), given, suggested, p_wrong, 0.5, estimate, joint, tuple(class_names), "auto", False)


def make_findings(audit, show=lambda row: Shown(None, f"text {row}"), *, test=None, **changes):
    history = [EpochMetrics(epoch, 0.5, 0.6 + epoch / 100, 1.0, test or float("nan")) for epoch in (1, 2, 3)]
    return FitFindings(
        title="reviews.csv",
        command="labelnoise fit reviews.csv",
        audit=audit,
        ids=tuple(f"row {row}" for row in range(len(audit.given))),
        show=show,
        candidates=[
            Candidate("cce", 0.62, 0.01, 2, history, test, test),
            Candidate("gce", 0.63, 0.01, 3, history, test, test),
        ],
        chosen=1,
        reasons=["gce has the highest accuracy."],
        metrics={"validation_labels": "noisy", "validation_accuracy": 0.63, "balanced_accuracy": 0.61, "macro_f1": 0.6},
        facts=[("rows", "200")],
        environment={"torch": "9.9", "commit": None},
    )._replace(**changes)


def ranked(audit):
    return sorted(range(len(audit.given)), key=lambda row: -audit.p_wrong[row])


def texts_of(page, section):
    """The cells by row of the last table of a section, without tags."""
    body = page[page.index(f'id="{section}"') :]
    table = re.findall(r"<tbody>(.*?)</tbody>", body[: body.index("</section>")], re.S)[-1]
    return [
        re.findall(r"<td.*?>(?:<bdi>)?(.*?)(?:</bdi>)?</td>", row) for row in re.findall(r"<tr.*?</tr>", table, re.S)
    ]


def download(tab):
    """The rows of the decisions, as a reader of CSV takes them."""
    tab.click("#download")
    return list(csv.reader(io.StringIO(tab.downloaded("decisions.csv").decode(), newline="")))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("needs chromium or google-chrome on PATH")
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def tab(chromium):
    yield chromium
    chromium.evaluate("localStorage.clear()")


@pytest.fixture
def show_page(tab, tmp_path):
    """Opens the page of some findings; whatever the test does, it must fetch nothing and throw nothing."""

    def opened(findings, **settings):
        path = tmp_path / "report.html"
        path.write_text(fit_page(findings, **settings), encoding="utf-8")
        tab.open(path)
        return tab

    yield opened
    assert tab.complaints() == []
    assert {url.split(":")[0] for url in tab.requests()} <= {"file", "data", "blob"}


def test_the_headline_says_how_many_and_how_sure():
    audit = make_audit()
    page = fit_page(make_findings(audit)).replace("\N{NO-BREAK SPACE}", " ")
    assert f"About {round(200 * audit.p_wrong.mean())} of 200 labels are wrong" in page
    assert re.search(r"between 40\.0 % and\s+60\.0 %", page)
    assert f"{(audit.p_wrong > 0.5).sum()} are flagged" in page
    assert "45.0 % if noise depends on the class alone" in page
    assert "gce has the highest accuracy." in page
    assert "commit" not in page[page.index('id="facts"') :]


def test_the_pairs_are_the_largest_off_diagonal_counts():
    audit = make_audit()
    page = fit_page(make_findings(audit)).replace("\N{NO-BREAK SPACE}", " ")
    names, expected = audit.class_names, []
    total = sum(audit.joint[true, given] for true in range(4) for given in range(4) if true != given)
    for true in range(4):
        given = (true - 1) % 4  # the only other class that make_audit suggests it for
        count = sum(
            p for p, g, s in zip(audit.p_wrong, audit.given, audit.suggested, strict=True) if (s, g) == (true, given)
        )
        expected.append((count, [names[true], names[given], f"{count:.0f}", f"{100 * count / total:.1f} %"]))
    assert texts_of(page, "pairs") == [row for _, row in sorted(expected, reverse=True)]


def test_of_many_classes_those_with_most_errors_are_drawn():
    names = [f"class{label}" for label in range(40)]
    audit = make_audit(n=400, class_names=names)
    joint = np.diag(np.full(40, 10.0))
    joint[7, 33] = 5
    page = fit_page(make_findings(audit._replace(joint=joint)))
    heat = page[page.index('class="heat') : page.index("Most confused")]
    assert "30 of 40 classes" in page
    assert heat.count("<tr>") == 31
    assert {"class7<", "class33<"} <= {name + "<" for name in re.findall(r"<bdi>(.*?)</bdi>", heat)}
    assert heat.count("background:") == 1
    row = heat[heat.index("<tr><th><bdi>class7</bdi>") :]  # the true class; the given one is the column's
    assert "background:" in row[: row.index("</tr>")]


def test_classes_are_counted_by_given_label():
    audit = make_audit()
    truth = np.where(np.arange(200) % 5 == 0, (audit.given + 1) % 4, audit.given)
    recall = {"cat": 0.25, "dog": 0.5, "bird": 0.75}
    findings = make_findings(audit, truth=truth)
    findings.metrics["recall_per_class"] = recall
    page = fit_page(findings).replace("\N{NO-BREAK SPACE}", " ")
    expected = {}
    for label, name in enumerate(audit.class_names):
        rows = [row for row in range(200) if audit.given[row] == label]
        errors = sum(audit.p_wrong[row] for row in rows)
        flagged = {row for row in rows if audit.p_wrong[row] > 0.5}
        wrong = {row for row in rows if truth[row] != label}
        shares = [errors / len(rows), len(flagged & wrong) / len(flagged), len(flagged & wrong) / len(wrong)]
        share, precision, found = (f"{100 * value:.1f} %" for value in shares)
        told = f"{100 * recall[name]:.1f} %" if name in recall else "–"
        expected[errors] = [name, "50", f"{errors:.0f}", share, str(len(flagged)), told, precision, found]
    assert texts_of(page, "classes") == [expected[errors] for errors in sorted(expected, reverse=True)]


@pytest.mark.parametrize(("test", "panels"), [(None, 1), (0.9, 2)])
def test_test_accuracy_is_shown_where_there_is_any(test, panels):
    page = fit_page(make_findings(make_audit(), test=test)).replace("\N{NO-BREAK SPACE}", " ")
    assert page.count("<svg") == panels
    assert re.findall(r'<tr class="chosen"><td><bdi>(.*?)</bdi>', page) == ["gce"]
    tested = ["90.0 %", "90.0 %"] if test else []
    assert texts_of(page, "models") == [["cce", "62.0 % ± 1.0", "2", *tested], ["gce", "63.0 % ± 1.0", "3", *tested]]


def test_the_best_epoch_of_each_candidate_is_marked(monkeypatch):
    axes = []

    def draw(_, on):
        axes.append(Figure().subplots())
        on(axes[-1])
        return ""

    monkeypatch.setattr(sys.modules[fit_page.__module__], "_svg", draw)
    fit_page(make_findings(make_audit(), test=0.9))
    dots = [[line.get_xydata().flatten() for line in ax.lines if line.get_marker() == "o"] for ax in axes]
    assert np.array(dots) == pytest.approx(np.array([[[2, 62], [3, 63]], [[2, 90], [3, 90]]]))


def test_where_nothing_is_wrong_there_is_no_pair_and_no_flag():
    audit = make_audit()._replace(
        p_wrong=np.zeros(200), joint=np.eye(4) * 50, estimate=Estimate(0.0, 0.0, 0.01, 0.0, 0.0)
    )
    page = fit_page(make_findings(audit))
    assert "About 0 of 200 labels are wrong" in page
    assert "0 are flagged" in page
    assert "Most confused" not in page


@pytest.mark.parametrize("name", ["$HOME/mine.py:Loss", "_mine.py:Loss"])
def test_a_loss_of_the_users_own_is_named_in_the_figure(name):
    findings = make_findings(make_audit())
    candidate = findings.candidates[0]._replace(name=name)
    page = fit_page(findings._replace(candidates=[candidate], chosen=0))
    assert name in page[page.index("<svg") : page.index("</svg>")]


def test_without_a_script_the_first_fifty_are_there():
    audit = make_audit()
    page = fit_page(make_findings(audit))
    static = page[page.index("<noscript>") : page.index("</noscript>")]
    assert re.findall(r'class="id">(.*?)<', static) == [f"row {row}" for row in ranked(audit)[:50]]


def test_equal_findings_give_equal_pages():
    assert fit_page(make_findings(make_audit())) == fit_page(make_findings(make_audit()))


def test_the_page_is_valid_utf_8_without_control_characters():
    findings = make_findings(make_audit(class_names=HOSTILE))._replace(ids=("\x00\ud800\x1b",) * 200)
    page = fit_page(findings, rows=60)
    page.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f]", page)
    data = re.search(r'<script id="data".*?>(.*?)</script>', page)[1]
    assert json.loads(data)["classes"] == list(HOSTILE)
    assert json.loads(data)["cards"][0]["id"] == "\x00\ud800\x1b"


@pytest.mark.parametrize(("shape", "kind"), [((1, 28, 28), "png"), ((3, 32, 32), "png"), ((3, 300, 200), "jpeg")])
def test_pictures_are_shown_as_they_are_or_as_thumbnails(shape, kind):
    pixels = torch.arange(shape[1]).mul(255 // shape[1]).to(torch.uint8)[None, :, None].expand(shape)
    (card,) = cards(make_audit(20), ("x",) * 20, lambda row: Shown(pixels, ""), rows=1)
    head, encoded = card.image.split(",")
    assert head == f"data:image/{kind};base64"
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert picture.size == ((85, 128) if kind == "jpeg" else shape[:0:-1])
    if kind == "png":
        found = torch.from_numpy(np.array(picture)).reshape(*shape[1:], shape[0]).permute(2, 0, 1)
        assert torch.equal(found, pixels)


def test_large_pictures_are_fewer_and_the_page_says_so():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (3, 128, 128), generator=generator, dtype=torch.uint8)  # hardly compresses
    page = fit_page(make_findings(make_audit(2000), lambda row: Shown(noise, "")))
    shown = int(re.search(r"The (\d+) most suspicious of 2,000", page)[1])
    assert 100 < shown < 1000
    assert 6e6 < len(page) < 9e6  # with the fifty of the page without a script


def test_a_long_text_is_cut_and_says_so():
    (card,) = cards(make_audit(20), ("x",) * 20, lambda row: Shown(None, "a" * 5000), rows=1)
    assert card.text == "a" * 2000 + " … (3,000 more characters)"


def test_decisions_are_counted_undone_kept_and_downloaded(show_page):
    audit = make_audit()
    tab = show_page(make_findings(audit))
    assert tab.evaluate(counter) == "0 of 200 decided"
    assert tab.evaluate("document.getElementById('download').disabled")
    tab.click(".card [data-do=accept]", 0)
    assert tab.evaluate(counter) == "1 of 200 decided: 1 accepted"
    tab.click(".card [data-do=keep]", 1)
    tab.click(".card [data-do=relabel]", 2)
    assert tab.evaluate(counter) == "2 of 200 decided: 1 accepted, 1 kept"  # no label has been chosen
    tab.choose(".card select", "3")
    assert tab.evaluate(counter) == "3 of 200 decided: 1 accepted, 1 kept, 1 relabelled"
    tab.click(".card [data-do=keep]", 3)
    tab.click(".card [data-do=undo]", 3)
    tab.click(".card [data-do=accept]", 4)
    tab.click(".card [data-do=accept]", 4)  # again: undone
    assert tab.evaluate(counter) == "3 of 200 decided: 1 accepted, 1 kept, 1 relabelled"
    assert tab.evaluate("document.querySelectorAll('.card.decided').length") == 3

    tab.send("Page.reload")
    tab.wait(
        f"document.readyState === 'complete' && {counter} === '3 of 200 decided: 1 accepted, 1 kept, 1 relabelled'"
    )
    assert tab.evaluate("document.querySelector('.card select').value") == "3"
    rows = download(tab)
    first, second, third = ranked(audit)[:3]
    names = audit.class_names
    expected = {
        first: ["accept", names[audit.suggested[first]]],
        second: ["keep", names[audit.given[second]]],
        third: ["relabel", "fish"],
    }
    assert rows[0] == ["index", "decision", "label", "given_label", "id"]
    assert [row[:3] for row in rows[1:]] == [[str(row), *expected[row]] for row in sorted(expected)]
    assert [row[3] for row in rows[1:]] == [names[audit.given[row]] for row in sorted(expected)]


def test_decisions_about_another_audit_are_not_taken_up(show_page):
    tab = show_page(make_findings(make_audit(seed=1)))
    tab.click(".card [data-do=accept]")
    assert tab.evaluate(counter) == "1 of 200 decided: 1 accepted"
    assert show_page(make_findings(make_audit(seed=2))).evaluate(counter) == "0 of 200 decided"
    assert show_page(make_findings(make_audit(seed=1))).evaluate(counter) == "1 of 200 decided: 1 accepted"


def test_where_the_browser_keeps_nothing_the_page_says_so_and_goes_on(show_page):
    tab = show_page(make_findings(make_audit()))
    assert tab.evaluate("document.getElementById('unsaved').hidden")
    tab.evaluate("delete Storage.prototype.setItem")
    tab.click(".card [data-do=accept]")
    assert not tab.evaluate("document.getElementById('unsaved').hidden")
    assert tab.evaluate(counter) == "1 of 200 decided: 1 accepted"


def test_the_keyboard_is_enough(show_page):
    audit = make_audit(seed=3)
    tab = show_page(make_findings(audit))
    focused = "document.activeElement.closest('.card')?.dataset.position"
    tab.evaluate("document.querySelector('.card').focus()")
    tab.press("a")
    tab.press("k")
    assert tab.evaluate(focused) == "2"
    assert tab.evaluate(counter) == "2 of 200 decided: 1 accepted, 1 kept"
    tab.press("ArrowLeft")
    tab.press("u")
    assert tab.evaluate(counter) == "1 of 200 decided: 1 accepted"
    tab.press("ArrowDown")
    columns = tab.evaluate("getComputedStyle(document.getElementById('cards')).gridTemplateColumns.split(' ').length")
    assert tab.evaluate(focused) == str(1 + columns)
    tab.press("r")
    assert tab.evaluate("document.activeElement.tagName") == "SELECT"
    tab.press("f")  # types ahead to fish
    assert tab.evaluate(counter) == "2 of 200 decided: 1 accepted, 1 relabelled"
    assert tab.evaluate("document.activeElement.tagName") == "SELECT"
    tab.press("Escape")
    for _ in range(60 - 1 - columns):
        tab.press("ArrowRight")
    assert tab.evaluate(focused) == "60"  # on the second page
    tab.press("ArrowLeft")
    assert tab.evaluate(focused) == "59"


def test_a_label_that_the_audit_agrees_with_has_no_suggestion_to_accept(show_page):
    tab = show_page(make_findings(make_audit(seed=4)))
    tab.choose("#order", "index")
    tab.choose("#search", "row 1")
    audit = make_audit(seed=4)
    buttons = "[...document.querySelectorAll('.card')].map((card) => card.querySelectorAll('.actions button').length)"
    listed = [row for row in range(200) if "row 1" in f"row {row}"][:60]
    assert tab.evaluate(buttons) == [2 + (audit.given[row] != audit.suggested[row]) for row in listed]


def test_filters_and_orders_change_what_is_listed(show_page):
    audit = make_audit(seed=5)
    tab = show_page(make_findings(audit, lambda row: Shown(None, "needle" if row == 123 else "hay")))
    ranking = ranked(audit)

    def listed(rows):
        return [f"row {row}" for row in rows][:60]

    assert tab.evaluate(ids_on_page) == listed(ranking)
    tab.click("#next")
    assert tab.evaluate(ids_on_page) == [f"row {row}" for row in ranking[60:120]]
    assert tab.evaluate("document.getElementById('range').textContent") == "61 to 120 of 200"
    tab.choose("#given", "2")
    assert tab.evaluate(ids_on_page) == listed(row for row in ranking if audit.given[row] == 2)
    tab.choose("#suggested", "3")
    assert tab.evaluate(ids_on_page) == listed(r for r in ranking if (audit.given[r], audit.suggested[r]) == (2, 3))
    tab.choose("#given", "")
    tab.choose("#suggested", "")
    tab.click("#flagged")
    assert tab.evaluate("document.getElementById('range').textContent") == f"1 to 60 of {(audit.p_wrong > 0.5).sum()}"
    tab.click("#flagged")
    tab.click(".card [data-do=accept]")
    assert tab.evaluate(ids_on_page) == listed(ranking)  # nothing moves under the hand
    tab.click("#undecided")
    assert tab.evaluate(ids_on_page) == listed(ranking[1:])
    tab.click("#undecided")
    tab.choose("#order", "index")
    assert tab.evaluate(ids_on_page) == listed(range(200))
    tab.choose("#order", "given")
    assert tab.evaluate(ids_on_page) == listed(sorted(ranking, key=lambda row: audit.given[row]))
    tab.choose("#search", "NEEDLE")
    assert tab.evaluate(ids_on_page) == ["row 123"]
    tab.choose("#search", "nothing like it")
    assert tab.evaluate("!document.getElementById('none').hidden && document.querySelectorAll('.card').length === 0")


def test_hostile_names_are_shown_and_run_nothing(show_page, tab):
    audit = make_audit(60, HOSTILE, seed=6)
    hostile = HOSTILE[1]
    findings = make_findings(audit, lambda row: Shown(None, HOSTILE[row % 6]), title=hostile, command=hostile)
    findings = findings._replace(
        ids=HOSTILE * 10, reasons=[hostile], facts=[(hostile, hostile)], environment={hostile: hostile}
    )
    show_page(findings)
    tab.choose("#order", "index")
    for selector in (".card .text", ".card .id"):
        shown = tab.evaluate(
            f"[...document.querySelectorAll('{selector}')].slice(0, 6).map((node) => node.textContent)"
        )
        assert shown == list(HOSTILE)
    heads = tab.evaluate("[...document.querySelectorAll('.heat tbody th')].map((node) => node.textContent)")
    assert heads == [name.replace("\x00", "\ufffd") for name in HOSTILE]
    for nth in range(6):
        tab.click(".card [data-do=keep]", nth)
        tab.click(".card [data-do=relabel]", nth)
    assert tab.evaluate("document.querySelectorAll('.card select option').length") == 6 * 7
    assert tab.evaluate("window.pwned") is None
    assert tab.evaluate("document.images.length") == 0
    cells = [row[2] for row in download(tab)[1:]]
    assert [unescape_cell(cell) for cell in cells] == list(HOSTILE)
    assert cells[2].startswith("'=")
    assert cells[3].startswith("''")


def test_the_policy_stops_a_script_that_got_in_and_every_fetch(tab, tmp_path):
    page = fit_page(make_findings(make_audit()))
    page = page.replace("</header>", "</header><script>window.pwned = 1</script><b onclick='window.pwned = 1'>x</b>")
    path = tmp_path / "report.html"
    path.write_text(page)
    tab.open(path)
    assert tab.evaluate("window.pwned") is None
    tab.click("header + script + b")
    assert tab.evaluate("window.pwned") is None
    assert tab.evaluate(counter) == "0 of 200 decided"  # our own script did run
    assert tab.evaluate("fetch('https://example.org').then(() => 'sent', () => 'stopped')") == "stopped"


def test_thousands_of_labels_open_at_once(show_page):
    picture = torch.arange(32 * 32 * 3).remainder(251).to(torch.uint8).reshape(3, 32, 32)
    findings = make_findings(make_audit(3000), lambda row: Shown(picture, ""))
    start = time.monotonic()
    tab = show_page(findings, rows=3000)
    assert tab.evaluate("document.querySelectorAll('.card img').length") == 60
    assert tab.evaluate(counter) == "0 of 3,000 decided"
    tab.choose("#search", "row 2999")
    assert tab.evaluate(ids_on_page) == ["row 2999"]
    assert time.monotonic() - start < 20  # a second or two where nothing else runs


@pytest.mark.parametrize("width", [420, 1300])
def test_nothing_is_wider_than_the_window(show_page, width):
    names = [f"a rather long class name {label}" for label in range(12)]
    tab = show_page(make_findings(make_audit(class_names=names)))
    tab.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_no_process_outlives_the_browser(chromium, tmp_path):
    with browser(tmp_path) as other:
        assert other.evaluate("1 + 1") == 2
    end = time.monotonic() + 20
    while _lives(other.process):  # until the system has reaped the last of the group
        assert time.monotonic() < end
        time.sleep(0.05)


def _lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
