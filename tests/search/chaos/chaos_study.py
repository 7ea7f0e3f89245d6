"""One life of a study under chaos: the command line itself, with trials that cost nothing, a store that may fail, and a run folder that may.

    python chaos_study.py run study.yaml ...     one life
    python chaos_study.py --nursery study.yaml   lives on order: each is a fork of a process that has imported all that such a study needs

CHAOS_FAULTS and CHAOS_NOTES are those of `faulty`; CHAOS_RUN names, as JSON, what goes wrong with the run's folder: {"seed", "after", "failing"} for
renames that fail for a moment, {"read_only": true, "after"}, or {"file_bytes"}, a limit on the size of files, which cuts writes off.
"""

import errno
import json
import os
import random
import resource
import sys
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).parent


def live(words: list[str]) -> NoReturn:
    """Runs the command line with its words until it ends, or is ended."""
    import faulty

    import search.cli
    import search.runner

    faulty.install(anew=True)
    # Late defaults reach every caller, however it imports the function.
    search.runner.run_study.__kwdefaults__["function"] = "chaos_trials:run"
    trouble = json.loads(os.environ.get("CHAOS_RUN", "{}"))
    if limit := trouble.get("file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    elif trouble:
        _trouble_renames(**trouble)
    sys.argv = ["tundish", *words]
    search.cli.main()


def _trouble_renames(*, seed: int = 0, after: int = 0, failing: float = 0.0, read_only: bool = False) -> None:
    """Lets renames fail, with which every whole file of a run begins to exist."""
    rng, original = random.Random(seed), Path.replace
    seen = [0, 0]

    def replace(self: Path, target: Any) -> Path:
        seen[0] += 1
        if seen[0] > after and read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(target))
        # Never twice in a row, so that patience is enough.
        if seen[0] > after and seen[1] < seen[0] - 1 and rng.random() < failing:
            seen[1] = seen[0]
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
        return original(self, target)

    Path.replace = replace  # type: ignore[method-assign]


def nursery(study: str) -> None:
    """Reads orders from standard input, a line of JSON for each life ({"words", "environment", "log"}), and tells its birth and its death."""
    import chaos_trials  # noqa: F401
    import torch  # noqa: F401

    import reports.page
    import reports.tables  # noqa: F401
    import search.console
    import search.execution.driver
    import search.models.model
    import search.prepare
    import search.runner  # noqa: F401
    import trainables.scores.extractors  # noqa: F401
    from search.studies.checks import validate
    from search.studies.study_file import load_study

    # Checking a study imports its families and inspectors, which takes longest.
    validate(load_study(study, [], thorough=True))
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _begin(order)
        print(f"born {child}", flush=True)
        _, status = os.waitpid(child, 0)
        print(f"died {os.waitstatus_to_exitcode(status)}", flush=True)


def _begin(order: dict[str, Any]) -> NoReturn:
    """Turns a fresh fork into a life of its own."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    code: Any = 70
    try:
        live(order["words"])
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    sys.path[:0] = [str(HERE)]
    if sys.argv[1] == "--nursery":
        nursery(sys.argv[2])
    else:
        live(sys.argv[1:])
