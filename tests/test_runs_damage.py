"""Files of a run that a disk or a copy has damaged: one line that says how to have them
again, and that works.
"""

import shutil
from pathlib import Path

import keras
import pytest

from twostage.cli.main import COMMANDS
from twostage.errors import InputError
from twostage.export.export_run import exported_stage1
from twostage.runs import summary
from twostage.system import files

SMALL = [
    "--base-dim",
    "4",
    "--fc-dim",
    "16",
    "--latent-dim",
    "4",
    "--epochs",
    "1",
    "--limit",
    "300",
]
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="of files, which are the same on each backend",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    COMMANDS["train-stage1"](["--run", str(folder), *SMALL])
    COMMANDS["train-stage2"](["--run", str(folder), "--width", "16", "--epochs", "1"])
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def refused(command, *flags):
    with pytest.raises(SystemExit) as ended:
        command(list(map(str, flags)))
    assert ended.value.code == 2


@pytest.mark.slow
def test_each_damaged_file_is_reported_and_written_again(finished, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(finished, run)

    def weights(number):
        return keras.saving.load_model(
            run / f"stage{number}" / "model.keras", compile=False
        ).get_weights()

    before = weights(1), weights(2)
    for number, name in ((1, "model"), (2, "normalizer")):
        path = cut(run / f"stage{number}" / f"{name}.keras")
        for command in (COMMANDS["evaluate"], COMMANDS["export"]):
            refused(command, "--run", run)
            again = (
                f"remove it, then `python train_stage{number}.py --run {run} --resume`"
                " writes it again"
            )
            assert (
                (error := capsys.readouterr().err).startswith(
                    f"error: received {path}, which is damaged, or of another version"
                    " of Keras (no whole archive)"
                )
                and again in error
                and error.count("\n") == 1
            )
        path.unlink()
        (COMMANDS["train-stage1"], COMMANDS["train-stage2"])[number - 1](
            ["--run", str(run), "--resume"]
        )  # of stage 1 although there is a stage 2: nothing is trained further
        capsys.readouterr()
    for old, new in zip(before, (weights(1), weights(2)), strict=True):
        assert all((a == b).all() for a, b in zip(old, new, strict=True))
    (run / "stage1" / "model.keras").unlink()
    refused(COMMANDS["train-stage1"], "--run", run, "--resume", "--epochs", 2)
    assert "stage2 was trained on this stage 1 as it is" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_config_and_recalibrated_model_are_reported(
    finished, tmp_path, capsys
):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = run / "stage1" / "recalibrated.keras"
    path.write_bytes(b"PK")
    with pytest.raises(
        InputError,
        match=(
            r"recalibrated\.keras, which is damaged.*: remove it, or write it again by"
            r" `export_run\(run=.*run', recalibrate=True\)`"
        ),
    ):
        exported_stage1(run)
    for name in ("environment", "config"):
        path = cut(run / "stage1" / f"{name}.json")
        refused(COMMANDS["evaluate"], "--run", run, "--extractor", "random")
        assert f"received {path}, which is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_a_damaged_savedmodel_is_reported_and_written_again(finished, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "samples.png"
    shutil.copytree(finished, run)
    for name in (
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "saved_model.pb",
    ):
        content = (run / "saved_model" / name).read_bytes()
        cut(run / "saved_model" / name)
        refused(COMMANDS["sample"], "--run", run, "--out", out)
        assert (
            f"received {run / 'saved_model'}, which is damaged"
            in (error := capsys.readouterr().err)
            and error.count("\n") == 1
        )
        assert (
            f"write it again by `python -m twostage export --run {run}`" in error
            and not out.exists()
        )
        if name != "saved_model.pb":
            (run / "saved_model" / name).write_bytes(content)
    COMMANDS["export"](["--run", str(run)])
    COMMANDS["sample"](["--run", str(run), "--n", "4", "--out", str(out)])
    assert out.exists()


def test_a_run_without_its_normalizer_is_not_sampled_from_stage1(
    small_run, tmp_path, capsys
):
    run = tmp_path / "run"
    shutil.copytree(small_run[0], run)
    (run / "stage2" / "normalizer.keras").unlink()
    for command in (["export"], ["evaluate", "--extractor", "random"]):
        refused(COMMANDS[command[0]], "--run", run, *command[1:])
        error = capsys.readouterr().err
        assert "normalizer.keras is missing: copy the whole run, or write" in error
        assert "--resume" in error and error.count("\n") == 1


def test_a_name_that_is_no_text_ends_no_training(tmp_path):
    """Of a file system, where any bytes are a name."""
    run = tmp_path / "bad\udcff"
    try:
        run.mkdir()
    except (OSError, UnicodeError):
        pytest.skip("no such names here")
    summary.write(run, stage1={"epoch": 1})
    assert "# Run bad\\udcff" in (run / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("read", [files.read_json, files.read_config])
def test_a_file_without_read_permission_is_not_damaged(tmp_path, monkeypatch, read):
    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError, match=r"received .*a\.json, which cannot be read"):
        read(tmp_path / "a.json")


def test_an_empty_file_name_is_refused_before_the_work(small_run, capsys):
    for arguments in (["sample", "--run", small_run[0], "--out"], ["data", "digits"]):
        last = ["--grid", ""] if arguments[0] == "data" else [""]
        refused(COMMANDS[arguments[0]], *arguments[1:], *last)
        error = capsys.readouterr().err
        assert "received an empty file name, expected a PNG file" in error


def test_a_read_only_run_is_refused_before_it_is_evaluated(small_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(small_run[0], run)
    (run / "evaluation").write_text("no folder")
    refused(COMMANDS["evaluate"], "--run", run, "--extractor", "random")
    out = capsys.readouterr()
    assert (
        f"{run / 'evaluation'} was not written: File exists" in out.err
        and "REC" not in out.out
    )


@pytest.mark.slow
def test_too_little_memory_is_reported(tmp_path, capsys):
    """More than any machine has, for the images and for the weights."""
    folder = tmp_path / "run"
    refused(COMMANDS["train-stage1"], "--run", folder, "--pad", 1_000_000)
    assert (
        "there is not enough memory (Unable to allocate 1.3"
        in (error := capsys.readouterr().err)
        and error.count("\n") == 1
    )
    refused(COMMANDS["train-stage1"], "--run", folder, "--fc-dim", 100_000_000_000)
    assert (
        "there is not enough memory (OOM when allocating"
        in (error := capsys.readouterr().err)
        and error.count("\n") == 1
    )
    assert not folder.exists()
