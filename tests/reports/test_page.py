"""The page: self-contained, complete, honest in its names, and safe against names in the data."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reports import page
from reports.records import write_json
from reports.run import read_run


@pytest.fixture(scope="module")
def html(finished_run: Path) -> str:
    path = page.write_report(finished_run)
    assert path == finished_run / "report.html" and not list(finished_run.glob("*.part"))
    return path.read_text(encoding="utf-8")


def without_plotly(html: str) -> str:
    assert html.count(page._plotly_js()) == 1
    return html.replace(page._plotly_js(), "")


def payload(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="payload">(.*?)</script>', html, re.DOTALL)[1])


def test_nothing_is_fetched(html: str) -> None:
    own = without_plotly(html)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", re.sub(r"<script>.*?</script>", "", own, flags=re.DOTALL))
    assert "http://" not in own and "https://" not in own and "@import" not in own
    assert not re.findall(r"url\((?!data:)", own)


def test_the_sections_stand_in_the_reader_s_order(html: str) -> None:
    found = re.findall(r'<section id="([a-z-]+)"', html)
    assert found == ["verdict", "where", "trade-off", "pictures", "sets", "search", "settings", "data", "failures", "trials", "repeat"]


def test_every_trial_and_every_plot_is_there(html: str, finished_run: Path) -> None:
    data = payload(html)
    run = read_run(finished_run)
    assert set(data["trials"]) == {str(trial.number) for trial in run.trials}
    assert all(f'id="row-{trial.number}"' in html for trial in run.trials)
    assert set(data["figures"]) == set(re.findall(r'data-figure="([a-z_]+)"', html))
    assert len(data["thumbs"]) > 20


def test_what_repeats_the_run_is_there(html: str) -> None:
    for told in ("tundish run steel.yaml", "9f2c51d0a7e84be2", "torch 2.14.0", "strict protocol", "405 images", "95% interval", "3 paired seeds"):
        assert told in html, told
    assert "the resolved study file" in html.lower()


def test_no_number_is_called_fid_without_inception(html: str) -> None:
    assert not re.findall(r"\bFID\b", without_plotly(html))
    assert "KID (inspector features)" in html


def test_failures_are_grouped(html: str) -> None:
    assert re.search(r"<code>diverged</code> 2 trials", html) and re.search(r"<code>out_of_memory</code> 1 trial\b", html)


def test_names_in_the_data_cannot_break_out(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=8, pictures=False)
    evil = "</script><script>alert(1)</script>"
    environment = json.loads((folder / "environment.json").read_text())
    environment["split_counts"] = {evil: {"train": 1, "val": 1, "test": 1}}
    environment["command"] = environment["notes"] = [evil]
    write_json(folder / "environment.json", environment)
    for path in folder.glob("trials/*/*.json"):
        path.write_text(path.read_text().replace('"resnet18"', json.dumps(evil)))
    html = page.write_report(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in html


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    html = page.write_report(tmp_path).read_text(encoding="utf-8")
    assert "No verdict" in html and re.findall(r'<section id="([a-z-]+)"', html) == ["verdict", "trials", "repeat"]


def test_a_running_study_says_so(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    html = page.write_report(fake_run(tmp_path / "run", trials=7, confirm=False, pictures=False)).read_text(encoding="utf-8")
    assert "No verdict yet" in html and ">running</b>" in html and "1 running" in html


def test_no_evidence_is_said_plainly(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    html = page.write_report(fake_run(tmp_path / "run", trials=12, gain=0.0, pictures=False)).read_text(encoding="utf-8")
    assert "<h1>No evidence that synthetic data helps here</h1>" in html


def test_few_seeds_and_few_trials_are_warned_of(html: str) -> None:
    assert "3 seeds make a wide and rough interval" in html and "under 30 they are hints" in html


def test_three_objectives_can_be_picked(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=8, pictures=False)
    environment = json.loads((folder / "environment.json").read_text())
    environment["objectives"]["trial_s"] = "minimize"
    write_json(folder / "environment.json", environment)
    html = page.write_report(folder).read_text(encoding="utf-8")
    assert 'id="pick-x"' in html and payload(html)["objectives"] == environment["objectives"]


def test_time_is_said_as_people_say_it() -> None:
    assert [page.duration(seconds) for seconds in (5, 89, 120, 5000, 7200)] == ["5 s", "89 s", "2 min", "83 min", "2.0 h"]


def browsed(address: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Opens a page in Chromium without a network: its DOM once the scripts ran, and what the console said."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    always = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command = [browser, *always, "--enable-logging=stderr", "--virtual-time-budget=5000", *options, "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.browser
def test_a_browser_draws_it_without_a_network(html: str, finished_run: Path) -> None:
    told = browsed(f"file://{finished_run}/report.html#trial-4")
    assert "CONSOLE" not in told.stderr, "a script complained"
    drawn = re.findall(r'id="plot-([a-z_]+)"[^>]*class="[^"]*js-plotly-plot|class="[^"]*js-plotly-plot[^"]*" id="plot-([a-z_]+)"', told.stdout)
    assert len(drawn) == len(payload(html)["figures"])
    assert re.search(r'<aside id="drawer"(?![^>]*hidden)[^>]*>.*?#4 ', told.stdout, re.DOTALL), "the trial of the address is open"


@pytest.mark.browser
@pytest.mark.parametrize("width", [600, 780, 885, 1400])
def test_the_pictures_of_a_class_stand_in_one_line(html: str, tmp_path: Path, width: int) -> None:
    """Beside the real ones on a wide screen, below them on a narrow one."""
    lines = "[...document.querySelectorAll('.strip')].map(strip => new Set([...strip.children].map(tile => tile.offsetTop)).size)"
    counted = f"<script>addEventListener('load', () => {{ document.body.dataset.lines = {lines}; }});</script></body>"
    (tmp_path / "report.html").write_text(html.replace("</body>", counted), encoding="utf-8")
    told = browsed(f"file://{tmp_path}/report.html", f"--window-size={width},900")
    found = re.search(r'data-lines="([\d,]+)"', told.stdout)
    assert found is not None
    assert set(found[1].split(",")) == {"1"}


def test_the_ranking_tells_tests_shares_of_the_variance_and_who_was_dropped(tmp_path: Path, fake_run: Callable[..., Path]) -> None:
    run = read_run(fake_run(tmp_path / "run", trials=12, seeds=6, pictures=False))
    confirmed = run.complete(searched=False)
    crossed = {"units": [{"generator": g, "inspector": i} for g in (1, 2, 3) for i in (0, 1)], "judge": True}
    trials = {trial.number: trial for trial in run.trials}
    for trial in confirmed:
        if trial.family:
            trials[trial.number] = trial._replace(asked=replace(trial.asked, recipe={**trial.asked.recipe, **crossed}))
    last = max(trials)
    for number, parent in ((last + 1, 7), (last + 2, 9)):
        loser = next(trial for trial in confirmed if trial.family)
        assert loser.record is not None
        recipe = {**loser.asked.recipe, "units": [{"generator": 0, "inspector": i} for i in (1, 2, 3)], "judge": False}
        values = [(0.9, 0.91, 0.92), (0.5, 0.51, 0.49)][parent == 9]
        record = replace(loser.record, trial=number, units=[{"val_accuracy": value} for value in values])
        trials[number] = loser._replace(asked=replace(loser.asked, trial=number, parent=parent, recipe=recipe), record=record)
    told = page.render(replace(run, trials=tuple(trials.values()), study={**run.study, "search": {"confirm": {"seeds": 4}}}))
    assert "Ranking on test" in told and "Variance: generator" in told and "corrected after Holm" in told
    assert re.search(r"#9 [a-z_]+ \+ [a-z0-9_]+</a>: dropped in round 1, after 3 seeds 41\.0 points of validation accuracy behind #7", told)
    assert "3 x 2 paired seeds of generator and inspector" in told and "2 seeds of the generator make a wide" not in told
    (tmp_path / "report.html").write_text(told, encoding="utf-8")
