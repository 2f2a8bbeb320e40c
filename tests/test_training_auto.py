"""The preset "auto": what it chooses, what it leaves, and that a run keeps it."""

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from twostage import InputError, TwoStageVAE, presets
from twostage.cli.main import COMMANDS
from twostage.config import PRECISIONS, Stage1Config, Stage2Config
from twostage.data.datasets import ArrayDataset, Options, open_dataset
from twostage.models.vae import VAE
from twostage.runs.run import StageRun, default_preset
from twostage.training import auto, sampling_choice, timed_steps

pytestmark = pytest.mark.usefixtures("without_saved_model")


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(sampling_choice, "SAMPLES", 100)


def chosen(count, shape, **given):
    config = presets.resolve(1, "auto", **given)
    choices = auto.stage1_choices(config, given, count, shape)
    return {choice.name: choice.value for choice in choices}


def test_the_papers_networks_follow_from_their_images():
    cifar10 = chosen(48_000, (32, 32, 3))
    assert cifar10["num_scale"] == 3 and cifar10["base_dim"] == 32
    assert cifar10["latent_dim"] == 64 and cifar10["kl_weight"] == 1
    assert not cifar10["flip"] and 11 <= cifar10["epochs"] <= 17
    celeba = chosen(160_000, (64, 64, 3))
    assert celeba["num_scale"] == 4 and celeba["latent_dim"] == 64
    assert celeba["kl_weight"] == 4


def test_few_images_get_a_small_network_and_many_epochs():
    few = chosen(940, (32, 32, 3))
    assert few["base_dim"] == 16 and few["flip"] and few["batch_size"] == 16
    assert few["epochs"] > 50
    assert chosen(120, (32, 32, 3))["batch_size"] == 12
    assert chosen(48_000, (32, 32, 3))["batch_size"] == 50
    assert chosen(17, (8, 8, 1))["batch_size"] == 1


def test_files_of_which_none_can_be_read_are_listed(tmp_path, capsys):
    for i in range(20):
        (tmp_path / f"{i}.jpg").write_text("<html>not found</html>")
    with pytest.raises(SystemExit):
        COMMANDS["train-stage1"](["--data", str(tmp_path), "--run", str(tmp_path)])
    error = capsys.readouterr().err
    assert "cannot be read: " in error and "not an image" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("side", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("count", [10, 500, 60_000])
def test_every_size_gives_a_network_that_can_be_built(side, count):
    choices = chosen(count, (side, side, 3))
    config = presets.resolve(1, "auto", **choices)
    assert config.warmup_steps < config.epochs * (count // config.batch_size) or (
        config.warmup_steps == 0
    )


def test_what_follows_from_a_given_setting_follows_it():
    half = chosen(48_000, (32, 32, 3), latent_dim=32)
    assert half["kl_weight"] == 4
    short = chosen(48_000, (32, 32, 3), epochs=1)
    assert short["warmup_steps"] == 96
    assert chosen(48_000, (32, 32, 3), schedule="halving")["warmup_steps"] == 0
    # as many images, whatever the batches
    small = chosen(1_000, (32, 32, 3), batch_size=10)
    assert small["epochs"] == chosen(1_000, (32, 32, 3))["epochs"] == 95
    assert chosen(100, (32, 32, 3), batch_size=50)["epochs"] == 30


def arrays(*shape):
    """A data set of arrays."""
    load = {"train": (np.full(shape, 200, "uint8"), None)}.__getitem__
    return ArrayDataset("x.npz", Options(), load)


def sized(dataset, **given):
    config = presets.resolve(1, "auto", **given)
    found = auto.with_size(config, given, dataset)
    return found.pad, found.side, found.fit


def test_arrays_of_another_side_are_padded():
    assert sized(arrays(9, 28, 28, 1))[0] == 32
    assert sized(arrays(9, 20, 32, 3))[0] == 32
    assert sized(arrays(9, 64, 64, 3))[0] == 0
    with pytest.raises(InputError, match=r"of side 250, expected at most 128"):
        sized(arrays(9, 250, 190, 3))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(64, 64)], (0, 0, "stretch")),
        ([(28, 28)], (32, 0, "stretch")),
        ([(48, 40)], (0, 32, "crop")),
        ([(500, 375), (375, 500)], (0, 64, "crop")),
        ([(100, 100)], (0, 64, "crop")),
        ([(20, 12), (9, 9)], (0, 32, "crop")),
    ],
)
def test_image_files_of_other_sizes_are_cropped_and_resized(tmp_path, sizes, expected):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(40):
        size = sizes[i % len(sizes)]
        Image.new("RGB", size, (i, 90, 200)).save(folder / f"{i}.png")
    options = Options(cache=str(tmp_path / "cache"))
    dataset = open_dataset(str(folder), options)
    assert sized(dataset) == expected
    assert sized(dataset, side=16)[1:] == (16, "stretch")


def test_ones_own_data_get_the_preset():
    assert default_preset(None) == "digits"
    assert default_preset("mnist") == "mnist"
    assert default_preset("svhn") == default_preset("photographs") == "auto"


def paces(monkeypatch, **seconds):
    monkeypatch.setattr(
        auto,
        "seconds_per_step",
        lambda configs, example: [seconds[config.precision] for config in configs],
    )


def test_the_faster_precision_is_taken_and_the_time_is_kept(monkeypatch, caplog):
    caplog.set_level("INFO", "twostage")
    paces(monkeypatch, float32=0.25, mixed_bfloat16=0.4)
    images = np.zeros((5_000, 32, 32, 3), "uint8")
    config = auto.auto_stage1(Stage1Config(minutes=10), {"minutes"}, images)
    assert config.precision == "float32"
    # 80 % of ten minutes; 312 steps of a quarter of a second per epoch, and 7 %
    assert config.epochs == 5 and config.warmup_steps == 156
    assert "training takes about 6 min 57 s on this machine" in caplog.text
    paces(monkeypatch, float32=0.25, mixed_bfloat16=0.15)
    given = {"epochs", "precision"}
    config = auto.auto_stage1(Stage1Config(epochs=3), given, images)
    assert config.precision == "float32" and config.epochs == 3


@pytest.mark.parametrize(
    "seconds, expected",
    [(0.249, "float32"), (0.23, "float32"), (0.22, "mixed_bfloat16")],
)
def test_noise_of_the_clock_does_not_choose_the_precision(
    monkeypatch, seconds, expected
):
    paces(monkeypatch, float32=0.25, mixed_bfloat16=seconds)
    images = np.zeros((5_000, 32, 32, 3), "uint8")
    assert auto.auto_stage1(Stage1Config(), (), images).precision == expected


def test_steps_are_timed_in_turn_and_one_by_one(monkeypatch):
    """By a clock that every step of one of the models moves, the other's not."""
    now, order = [0.0], []
    original = VAE.fit

    def fit(self, *args, callbacks, **kwargs):
        seconds = 5.0 if self.encoder.compute_dtype == "float32" else 2.0
        order.append(seconds)

        def tick(batch, logs):
            now[0] += seconds

        ticking = keras.callbacks.LambdaCallback(on_train_batch_end=tick)
        return original(self, *args, callbacks=[ticking, *callbacks], **kwargs)

    monkeypatch.setattr(VAE, "fit", fit)
    monkeypatch.setattr(timed_steps.time, "perf_counter", lambda: now[0])
    configs = [
        Stage2Config(width=8, precision=precision, steps_per_execution=4)
        for precision in PRECISIONS
    ]
    found = timed_steps.seconds_per_step(configs, np.zeros(4, "float32"))
    assert found == [5, 2]
    assert order == [5, 2] * (timed_steps.ROUNDS + 1)


@pytest.mark.parametrize("minutes", [0.0, 10.0])
def test_what_was_chosen_is_said_once_in_ten_lines(minutes, monkeypatch, caplog):
    """Every choice, as the config has it; stage 1's first line is `with_size`'s."""
    caplog.set_level("INFO", "twostage")
    paces(monkeypatch, float32=0.25, mixed_bfloat16=0.4)
    images = np.zeros((5_000, 32, 32, 3), "uint8")
    first = presets.resolve(1, "auto", minutes=minutes)
    first = auto.auto_stage1(first, {"minutes"}, images)
    said = auto_lines(caplog)
    assert len(said) == 8
    caplog.clear()
    second = presets.resolve(2, "auto")
    second = auto.auto_stage2(second, given=(), first=first, count=5_000)
    assert len(auto_lines(caplog)) == 8
    names = []
    for line in said:
        for setting in line.split(" (")[0].split(", "):
            name, value = setting.split(" ")
            names.append(name)
            shown = getattr(first, name)
            assert value == (f"{shown:g}" if isinstance(shown, float) else str(shown))
    assert len(set(names)) == len(names) == 14


def auto_lines(caplog):
    texts = [record.getMessage() for record in caplog.records]
    lines = [text.removeprefix("auto: ") for text in texts if text.startswith("auto: ")]
    return [line for line in lines if "timing" not in line]


def test_a_schedule_that_was_given_has_no_warm_up(monkeypatch, caplog):
    caplog.set_level("INFO", "twostage")
    paces(monkeypatch, float32=0.25, mixed_bfloat16=0.4)
    config = presets.resolve(1, "auto", schedule="halving")
    images = np.zeros((50, 32, 32, 3), "uint8")
    config = auto.auto_stage1(config, {"schedule"}, images)
    assert config.schedule == "halving" and config.warmup_steps == 0
    assert "back to 0" not in caplog.text


@pytest.mark.parametrize(
    ("given", "schedule"),
    [
        ({"halve_every": 5}, "halving"),
        ({"halve_every": 5, "schedule": "cosine"}, "cosine"),
        ({"halve_every": 5, "warmup_steps": 7}, "cosine"),
    ],
)
@pytest.mark.parametrize("minutes", [0.0, 1.0])
def test_halvings_that_were_given_are_used(monkeypatch, given, schedule, minutes):
    paces(monkeypatch, float32=0.25, mixed_bfloat16=0.4)
    config = presets.resolve(1, "auto", minutes=minutes, **given)
    images = np.zeros((50, 32, 32, 3), "uint8")
    config = auto.auto_stage1(config, set(given), images)
    assert config.schedule == schedule
    assert (config.warmup_steps > 0) == (schedule == "cosine")
    assert config.warmup_steps == 7 or "warmup_steps" not in given


def test_auto_chooses_no_sizes_that_a_network_does_not_read():
    images = (1_000, (32, 32, 3))
    resnet = auto.stage1_choices(presets.resolve(1, "auto"), (), *images)
    rae = auto.stage1_choices(presets.resolve(1, "auto", network="rae"), (), *images)
    only_resnet = {each.name for each in resnet} - {each.name for each in rae}
    assert only_resnet == {"num_scale", "base_dim", "fc_dim", "initialization"}


def test_stage_2_is_stopped_by_held_out_latents_where_there_are_some(monkeypatch):
    paces(monkeypatch, float32=0.01, mixed_bfloat16=0.02)
    settings = {"given": (), "count": 9_000}
    first = presets.resolve(1, "auto")
    config = auto.auto_stage2(presets.resolve(2, "auto"), first=first, **settings)
    assert config.patience == config.epochs // 5 and config.width == 512
    assert config.gamma == "learned"
    first = presets.resolve(1, "auto", held_out=0.0)
    config = auto.auto_stage2(presets.resolve(2, "auto"), first=first, **settings)
    assert config.patience == 0


def test_stage_2_keeps_what_was_given_of_gamma(monkeypatch):
    """A learned gamma has no rule, and a Gaussian start no `gamma_start`."""
    paces(monkeypatch, float32=0.01, mixed_bfloat16=0.02)
    config = presets.resolve(2, "auto", gamma_start=0.5)
    given, first = {"gamma_rule", "gamma_start"}, presets.resolve(1, "auto")
    config = auto.auto_stage2(config, given=given, first=first, count=9_000)
    assert config.gamma == "computed" and config.initialization == "random"


@pytest.mark.parametrize(
    ("minutes", "epochs", "said"),
    [
        (1_000.0, 106, "epochs 106 (12461 would fit into 200 minutes, but would"),
        (1.0, 12, "epochs 12 (0.2 minutes)"),
    ],
)
def test_minutes_shorten_stage_2_and_never_lengthen_it(
    monkeypatch, caplog, minutes, epochs, said
):
    """A fifth of them, .96 seconds per epoch; 106 epochs are 100 sqrt(9,000) steps."""
    caplog.set_level("INFO", "twostage")
    paces(monkeypatch, float32=0.01, mixed_bfloat16=0.02)
    first, second = (
        presets.resolve(1, "auto", minutes=minutes),
        presets.resolve(2, "auto"),
    )
    config = auto.auto_stage2(second, given=(), first=first, count=9_000)
    assert config.epochs == epochs
    assert said in caplog.text


def test_arrays_get_the_preset_too(tmp_path, monkeypatch):
    """`fit` chooses by the images, keeps what was given, and resumes what it chose."""
    paces(monkeypatch, float32=0.1, mixed_bfloat16=0.2)
    digits = (load_digits().images[:300] * 255 / 16).astype("uint8")
    images = np.pad(digits, ((0, 0), (1, 1), (0, 2)))  # 10x10

    def fitted():
        model = TwoStageVAE.from_preset(
            "auto", stage1={"base_dim": 4, "fc_dim": 16}, stage2={"width": 16}
        )
        return model, model.fit(images, epochs=(1, 1), run=tmp_path / "run")

    model, history = fitted()
    first, second = model.stage1_config, model.stage2_config
    assert first.pad == 16 and first.latent_dim == 32 and first.base_dim == 4
    assert first.schedule == "cosine" and first.epochs == 1
    assert second.initialization == "gaussian" and second.sampling == "auto"
    assert "val_loss" in history.stage1.history
    paces(monkeypatch, float32=0.2, mixed_bfloat16=0.1)
    again, _ = fitted()
    assert again.stage1_config == first and again.stage2_config == second
    np.testing.assert_array_equal(again.sample(3, seed=1), model.sample(3, seed=1))


@pytest.mark.parametrize("shape", [(), (8,), (8, 8), (1, 2, 3, 4, 5)])
def test_what_are_no_images_is_refused_in_one_line(shape):
    model = TwoStageVAE.from_preset("auto")
    with pytest.raises(InputError, match=r"expected uint8, 0 to 255, of shape"):
        model.fit(np.full(shape, 200, "uint8"))


@pytest.mark.parametrize("count", [0, 1, 9])
def test_fewer_than_ten_images_are_refused_in_one_line(count):
    images = np.full((count, 8, 8, 1), 200, "uint8")
    words = f"received {count} training images?, without those.* expected at least 10"
    with pytest.raises(InputError, match=words):
        auto.auto_stage1(presets.resolve(1, "auto"), (), images)


def test_minutes_beside_epochs_are_warned_of(caplog, monkeypatch):
    paces(monkeypatch, float32=0.1, mixed_bfloat16=0.2)
    images = np.full((40, 8, 8, 1), 200, "uint8")
    for minutes, count in ((0.0, 0), (5.0, 1)):
        config = presets.resolve(1, "auto", minutes=minutes, epochs=3)
        assert auto.auto_stage1(config, {"epochs"}, images).epochs == 3
        assert caplog.text.count("`minutes` has no effect on stage 1") == count


def test_a_fit_needs_no_side_where_auto_chooses_one(tmp_path, caplog, monkeypatch):
    paces(monkeypatch, float32=0.1, mixed_bfloat16=0.2)
    caplog.set_level("INFO", "twostage")
    for i in range(40):
        image = np.random.default_rng(i).integers(0, 256, (60, 90 + i % 2, 3), "uint8")
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    command = COMMANDS["train-stage1"]
    run = str(tmp_path / "run")
    command(["--data", str(tmp_path), "--fit", "letterbox", "--run", run, "--dry-run"])
    assert "auto: side 32 (images of other sizes)" in caplog.text
    np.savez(tmp_path / "own.npz", x_train=np.zeros((200, 9, 9, 1), "uint8"))
    with pytest.raises(SystemExit):
        command(["--data", str(tmp_path / "own.npz"), "--fit", "letterbox"])


def test_a_run_of_ones_own_images_chooses_once(tmp_path, monkeypatch, caplog):
    """The flags win, what was chosen is in the config, and a resumed run keeps it."""
    paces(monkeypatch, float32=0.1, mixed_bfloat16=0.2)
    x = (load_digits().images[:300] * 255 / 16).astype("uint8")
    np.savez(tmp_path / "own.npz", x_train=x[:250], x_test=x[250:])
    run = str(tmp_path / "run")
    small = ["--base-dim", "4", "--fc-dim", "16", "--epochs", "1"]
    small += ["--gamma-multiplier", "5", "--data-dir", str(tmp_path)]
    COMMANDS["train-stage1"](
        ["--data", str(tmp_path / "own.npz"), "--run", run, *small]
    )
    assert caplog.text.count("auto: timing a few steps") == 1
    assert f"`data_dir='{tmp_path}'` has no effect with `data=" in caplog.text
    assert caplog.text.count("`gamma_multiplier=5.0` has no effect with `gamma=") == 1
    first = StageRun.open(run, 1)
    config = first.saved_config()
    assert first.preset == "auto" and config.schedule == "cosine"
    assert config.base_dim == 4 and config.latent_dim == 16 and config.batch_size == 16
    assert config.patience == 10  # of stage 1, too
    assert "val_loss" in (first.path / "history.csv").read_text()
    COMMANDS["train-stage1"](["--run", run, "--resume"])
    assert caplog.text.count("auto: timing a few steps") == 1
    COMMANDS["train-stage2"](["--run", run, "--width", "16", "--epochs", "2"])
    config = StageRun.open(run, 2).saved_config()
    assert config.initialization == "gaussian" and config.patience == 5
