"""Kills both stages at random moments, resumes them, and compares the result with that
of an uninterrupted run, bit for bit.

    python benchmarks/kill_and_resume.py --random 45 --aimed 5 --out kills
    KERAS_BACKEND=jax python benchmarks/kill_and_resume.py --out kills_jax

Each trial runs the job in a new folder, sends it one SIGKILL, resumes it by the
commands of the README, and compares both stages' last checkpoints (weights, optimizer,
seeds, metrics, history without times, callbacks' state) and 64 samples of the
SavedModel. `--random N`: N kills at uniformly random times. `--aimed N`: N kills in
each critical section: a checkpoint being written (2 N, in either stage), latents being
encoded, the start of stage 2, the SavedModel being written. What a kill hit is read
from the files that it left; those of an encoding are the start of stage 2's. Exits with
status 1 if a resumed run differs or is lost.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from twostage import export

ROOT = Path(__file__).parents[1]
COMMON = "--checkpoint-every 0.3 --deterministic"
JOB = {
    1: f"--preset digits --epochs 14 --watch-every 4 {COMMON}".split(),
    2: f"--epochs 50 --watch-every 20 {COMMON}".split(),
}


class Job:
    """The two commands, one after the other, in a folder; `kill` ends either."""

    def __init__(self, folder, core):
        self.folder, self.core, self.process, self.killed = folder, core, None, False
        self.stage, self.done, self.guard = 1, set(), threading.Lock()

    def run(self):
        """Runs what is left of the job. True if it came to its end."""
        for number in (1, 2):
            if number in self.done:
                continue
            begun = (self.folder / f"stage{number}" / "config.json").exists()
            command = [
                sys.executable,
                f"train_stage{number}.py",
                "--run",
                str(self.folder),
                *(["--resume"] if begun else JOB[number]),
            ]
            with self.guard:
                if self.killed:
                    return False
                self.stage = number
                self.log = self.folder.with_name(
                    f"{self.folder.name}.stage{number}.log"
                )

                def pin():
                    return os.sched_setaffinity(0, {self.core})

                with open(self.log, "w", encoding="utf-8") as log:
                    self.process = subprocess.Popen(
                        command,
                        cwd=ROOT,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        preexec_fn=pin,
                    )
            if self.process.wait() != 0:
                return False
            self.done.add(number)
        return True

    def kill(self):
        with self.guard:
            self.killed = True
            # between the two commands there is none
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def epochs_of(stage):
    return int(JOB[stage][JOB[stage].index("--epochs") + 1])


def where(job):
    """What the kill hit, from what it left behind."""
    log, stage = job.log.read_text(), job.folder / f"stage{job.stage}"
    if list(stage.glob("checkpoints/*.part")):
        return f"checkpoint being written, stage {job.stage}"
    if f"wrote {job.folder / 'saved_model'}" in log:
        return f"after the export, stage {job.stage}"
    if exporting(job):
        return f"export, stage {job.stage}"
    if not list(stage.glob("checkpoints/epoch-*")):
        return f"start of stage {job.stage}"
    epochs = epochs_of(job.stage)
    return (
        f"training of stage {job.stage}"
        if f"epoch {epochs}/{epochs}" not in log
        else f"after training, stage {job.stage}"
    )


def exporting(job):
    """Whether the running stage has written everything but its SavedModel."""
    try:
        results = json.loads((job.folder / "results.json").read_text())
    except FileNotFoundError:
        return False
    return ("stage1", "latents")[job.stage - 1] in results


def saving(job, stage):
    """Whether a checkpoint of a stage is being written."""
    return any((job.folder / f"stage{stage}" / "checkpoints").glob("*.part"))


def aim(job, what, chance):
    """Waits for the place `what`, to kill there."""
    stage, nth, seen = chance.choice((1, 2)), chance.randrange(1, 12), 0
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and not job.killed:
        if what == "checkpoint":
            # the nth write of this stage, after a part of the time that a write takes
            if saving(job, stage):
                seen += 1
                if seen == nth:
                    time.sleep(chance.uniform(0, 0.004))
                    return job.kill()
                while saving(job, stage):
                    time.sleep(0.0002)
        elif what == "encoding":
            if (
                job.stage == 2
                and job.log.exists()
                and "encoding" in job.log.read_text()
            ):
                time.sleep(chance.uniform(0, 0.15))
                return job.kill()
        elif what == "start of stage 2":
            if job.stage == 2:
                time.sleep(chance.uniform(0, 4))
                return job.kill()
        elif job.stage == stage and exporting(job):
            time.sleep(chance.uniform(0, 2))
            return job.kill()
        time.sleep(0.0003)


def outcome(folder):
    """Everything that must be equal, as bytes."""
    found = {}
    for number in (1, 2):
        name = f"epoch-{epochs_of(number):05d}-step-000000.npz"
        with np.load(folder / f"stage{number}" / "checkpoints" / name) as arrays:
            found |= {
                f"stage{number} {name}": arrays[name].tobytes()
                for name in arrays.files
                if name != "progress"
            }
            progress = json.loads(str(arrays["progress"]))
        for row in progress["rows"]:
            row.pop("seconds_per_step")
        found[f"stage{number} progress"] = json.dumps(progress)
    found["samples"] = export.load(folder / "saved_model").sample(64, 1).tobytes()
    return found


def trial(folder, core, kind, at, chance, expected):
    """(what was hit, whether the resumed job ended like the unbroken one)."""
    job = Job(folder, core)
    waiter = threading.Thread(
        target=(
            (lambda: (time.sleep(at), job.kill()))
            if kind == "random"
            else (lambda: aim(job, kind, chance))
        )
    )
    waiter.start()
    job.run()
    if not job.killed and kind != "random":
        job.killed = True
    waiter.join()
    hit = where(job) if len(job.done) < 2 else "after the end"
    job.killed = False
    while not job.run():
        # a child that writes the SavedModel may still hold the lock for a moment
        if "in use by another process" not in job.log.read_text():
            return hit, f"LOST: {job.log.read_text()[-400:]}"
        time.sleep(1)
    found = outcome(folder)
    different = [name for name in expected if found.get(name) != expected[name]]
    if not different and found.keys() == expected.keys():
        shutil.rmtree(folder)
        return hit, "equal"
    return (
        hit,
        f"DIFFERENT: {', '.join(different[:4])} and {max(len(different) - 4, 0)} more",
    )


def unbroken(out):
    """Runs the job without a kill: what it took in seconds, and its outcome."""
    began, job = time.monotonic(), Job(out / "unbroken", 0)
    if not job.run():
        sys.exit(job.log.read_text())
    taken, expected = time.monotonic() - began, outcome(job.folder)
    print(f"unbroken: {taken:.0f} s, {len(expected)} things to compare", flush=True)
    return taken, expected


def planned(options, taken, chance):
    """(kind, time, seed) of each kill, in random order."""
    aimed = ["checkpoint"] * 2 + ["encoding", "start of stage 2", "export"]
    kinds = ["random"] * options.random + aimed * options.aimed
    plans = [(kind, chance.uniform(0, taken), chance.random()) for kind in kinds]
    chance.shuffle(plans)
    return plans


def results_of(plans, expected, options, out):
    """What each trial hit and gave, in the order of the plans."""
    cores = list(range(options.workers))

    def one(i, kind, at, seed):
        core, folder = cores.pop(), out / f"trial-{i:03d}"
        try:
            return trial(folder, core, kind, at, random.Random(seed), expected)
        finally:
            cores.append(core)

    with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
        futures = [pool.submit(one, i, *plan) for i, plan in enumerate(plans)]
        for future in futures:
            yield future.result()


def main(options):
    """Prints a line per kill, then how often each place was hit."""
    out = Path(options.out).resolve()
    out.mkdir(parents=True)
    chance = random.Random(options.seed)
    taken, expected = unbroken(out)
    plans = planned(options, taken, chance)
    hits, bad = collections.Counter(), 0
    results = results_of(plans, expected, options, out)
    for i, ((kind, at, _), (hit, result)) in enumerate(
        zip(plans, results, strict=True)
    ):
        hits[hit] += 1
        bad += result != "equal"
        plan = f"random at {at:.1f} s" if kind == "random" else f"aimed at {kind}"
        print(f"{i + 1}/{len(plans)} {plan}: {hit}: {result}", flush=True)
    print(f"{len(plans)} kills, {bad} lost or different")
    for hit, count in sorted(hits.items()):
        print(f"{count:4d} {hit}")
    sys.exit(bool(bad))


def parsed():
    """The command line's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--random", type=int, default=45, help="kills at times uniform over the job")
    add(
        "--aimed",
        type=int,
        default=5,
        help="kills at each of the four narrow places; twice as many at checkpoints",
    )
    add(
        "--workers",
        type=int,
        default=os.cpu_count(),
        help="trials side by side, each on a core of its own",
    )
    add("--seed", type=int, default=0)
    add(
        "--out",
        default="kills",
        help="folder to work in; a trial that went well leaves nothing",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main(parsed())
