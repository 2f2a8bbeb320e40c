"""The two training runs, each a straight line: data -> model -> callbacks -> fit -> save."""

import dataclasses
import json
import os
import subprocess
import sys
import time
import zlib
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

import callbacks
from callbacks import statistics
from twostage import config as configs
from twostage import data, pictures, report, sampling
from twostage.data.batches import Batches
from twostage.errors import InputError
from twostage.latents import LatentNormalizer, encode, redraw
from twostage.likelihoods.gaussian_likelihood import GaussianLikelihood
from twostage.models.dense import dense_decoder, dense_encoder
from twostage.models.resnet import resnet_decoder, resnet_encoder
from twostage.models.vae import VAE
from twostage.runs import Checkpoint, Stage

WATCHED = 2_000  # examples that the callbacks look at
MEASURED = 50_000  # latents that the normaliser's statistics come from


def stage1(changes, preset=None, run=None, resume=False, dry_run=False):
    """Trains stage 1 of a run and writes its SavedModel. `changes` are settings that differ from the preset's."""
    stage = Stage(run or f"runs/{preset or 'digits'}", 1, resume)
    preset, config = _settings(stage, preset, changes)
    images, _ = _load_images(config)
    _prepare(config)
    vae = stage1_vae(config, images.shape[1:])
    batches = Batches(images, config.batch_size, config.seed)
    _introduce(stage, preset, config, vae, f"{len(images)} images of {_shape(images)} from {config.data}")
    if dry_run:
        return
    stage.begin(preset, config, _fingerprint(images))
    watched = callbacks.contract.random_subset(images, WATCHED, config.seed)
    grid = callbacks.ImageGrid(stage.path / "images", watched, freq=config.watch_every, tensorboard=_tensorboard(config, stage))
    rows = _train(vae, batches, config, stage, watched, grid)
    moments = encode(vae, watched)
    pictures.save_png(stage.path / "images" / "latents.png", pictures.latent_variances(*moments))
    stage.save_model("model.keras", vae)
    report.write(stage.run, stage1=_figures(config, rows, moments))
    _finish(stage, f"python train_stage2.py --run {stage.run}")


def stage2(changes, preset=None, run=None, resume=False, dry_run=False):
    """Trains stage 2 on the latents of a finished stage 1, measures the normaliser, and writes the SavedModel of both."""
    first = _finished_stage1(run or f"runs/{preset or 'digits'}", preset)
    preset, config1 = first.saved_config()
    stage = Stage(first.run, 2, resume)
    _, config = _settings(stage, preset, changes)
    images, _ = _load_images(config1)
    if json.loads((first.path / "environment.json").read_text())["data"] != _fingerprint(images):
        raise InputError(f"the data of {first.path} have changed since stage 1 was trained: restore {config1.data}, or train stage 1 again")
    _prepare(config)
    vae1 = keras.saving.load_model(first.path / "model.keras", compile=False)
    width = vae1.decoder.input_shape[-1]
    vae = stage2_vae(config, width)
    _introduce(stage, preset, config, vae, f"the latents of {len(images)} images, {width} each, drawn afresh every epoch")
    if dry_run:
        return
    stage.begin(preset, config, _fingerprint(images))
    mean, log_var = encode(vae1, images)
    moments = np.stack([mean, log_var], axis=1)  # (N, 2, k)
    batches = Batches(moments, config.batch_size, config.seed, transform=redraw)
    generator = np.random.default_rng((config.seed, 1))
    watched = redraw(callbacks.contract.random_subset(moments, WATCHED, config.seed), generator)
    decode = lambda model, u: vae1.decode(model.decode(u))  # noqa: E731
    logs = _tensorboard(config, stage)
    grid = callbacks.ImageGrid(stage.path / "images", latent_dim=width, decode=decode, freq=config.watch_every, tensorboard=logs)
    rows = _train(vae, batches, config, stage, watched, grid)
    law = float(statistics.variance_law(mean, log_var).mean())
    normalizer = LatentNormalizer(1.0 if config.normal_target == "one" else law**0.5, config.per_latent, name="normalizer")
    u = generator.standard_normal((MEASURED, width), dtype="float32")
    normalizer.adapt(_in_batches(lambda part: sampling.sample_latents(vae, part, "mean"), u))
    pictures.save_png(stage.path / "images" / "latents.png", pictures.latent_variances(*encode(vae, watched)))
    stage.save_model("normalizer.keras", keras.Sequential([keras.Input((width,)), normalizer]))
    stage.save_model("model.keras", vae)
    figures = _figures(config, rows, encode(vae, watched))
    report.write(stage.run, stage2=figures, latents=_normalised(vae, normalizer, width, config))
    _finish(stage, f"python -m twostage.sample --run {stage.run} --n 64 --seed 1 --out samples.png")


def export(run):
    """Writes the SavedModel of a run, sampled as stage 2's config says. Returns its path."""
    from twostage import export as saved_model

    path = Path(run) / "stage2" / "config.json"
    how = json.loads(path.read_text())["config"]["sampling"] if path.exists() else "normalised"
    return saved_model.write(run, how)


def stage1_vae(config, image_shape):
    """The ResNet VAE of a `Stage1Config`."""
    encoder = resnet_encoder(
        image_shape, config.latent_dim, config.num_scale, config.block_per_scale, config.base_dim, config.fc_dim, config.pooling, config.l2
    )
    decoder = resnet_decoder(image_shape, config.latent_dim, config.block_per_scale, config.base_dim, config.l2)
    return VAE(encoder, decoder, _likelihood(config), config.kl_weight, data_dtype="uint8", seed=config.seed, name="stage1")


def stage2_vae(config, width):
    """The dense VAE of a `Stage2Config` on vectors of `width` latents."""
    encoder, decoder = dense_encoder(width, config.width, config.depth), dense_decoder(width, config.width, config.depth)
    return VAE(encoder, decoder, _likelihood(config), config.kl_weight, data_dtype="float32", seed=config.seed, name="stage2")


def _likelihood(config):
    return GaussianLikelihood(config.gamma_start, config.gamma == "learned", config.gamma_multiplier, config.gamma_floor)


def _settings(stage, preset, changes):
    """(preset, config): a new run's from the preset, a resumed run's from its folder; flags override both."""
    if not stage.resume:
        return preset or "digits", configs.resolve(stage.number, preset or "digits", **changes)
    saved_preset, saved = stage.saved_config()
    if preset not in (None, saved_preset):
        raise InputError(f"{stage.path} was started with preset {saved_preset}, received {preset}: drop --preset, or start another run")
    return saved_preset, configs.build(type(saved), {**dataclasses.asdict(saved), **changes})


def _finished_stage1(run, preset):
    path = Path(run) / "stage1"
    command = f"python train_stage1.py --run {run}" + (f" --preset {preset}" if preset else "")
    if not (path / "config.json").exists():
        raise InputError(f"{path} does not exist, stage 2 needs a finished stage 1: run `{command}` first")
    if not (path / "model.keras").exists():
        raise InputError(f"{path} is not finished: run `python train_stage1.py --run {run} --resume` first")
    stage = Stage(run, 1, resume=True)
    saved, _ = stage.saved_config()
    if preset not in (None, saved):
        raise InputError(f"{run} was trained with preset {saved}, received {preset}: drop --preset, or give another --run")
    return stage


def _load_images(config):
    return data.load(config.data, "train", config.crop, config.side, config.pad)


def _prepare(config):
    if config.tensorboard and not (find_spec("tensorboard") and find_spec("tensorflow")):
        raise InputError("received --tensorboard, but TensorBoard or TensorFlow is not installed: pip install tensorboard tensorflow")
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)


def _train(vae, batches, config, stage, watched, grid):
    """Compiles, restores, fits. Returns the history, one dict an epoch."""
    # XLA on the CPU is several times slower than TensorFlow's graph; on JAX nothing runs fast without it.
    jit = keras.backend.backend() != "tensorflow" or bool(keras.distribution.list_devices("gpu"))
    vae.compile(keras.optimizers.Adam(config.learning_rate, epsilon=1e-8), jit_compile="auto" if jit else False)
    done, rows = stage.restore(vae)
    posterior = SharedPosterior()
    checkpoint = Checkpoint(stage, rows)
    rule = [callbacks.ComputedGamma(config.gamma_rule)] if config.gamma == "computed" else []
    tensorboard = [keras.callbacks.TensorBoard(_tensorboard(config, stage))] if config.tensorboard else []
    terminal = sys.stdout.isatty()
    halve = lambda epoch, _: config.learning_rate * 0.5 ** (epoch // config.halve_every)  # noqa: E731
    vae.fit(
        batches, epochs=config.epochs, initial_epoch=min(done, config.epochs), shuffle=False, verbose=1 if terminal else 0,
        callbacks=[
            batches.follow_epochs(), Pace(len(batches)), keras.callbacks.LearningRateScheduler(halve), *rule,
            callbacks.VarianceLaw(watched, posterior, WATCHED, config.watch_every),
            callbacks.ActiveLatents(watched, posterior, WATCHED, config.watch_every),
            grid, *tensorboard, *([] if terminal else [OneLine(config.epochs)]), checkpoint,
        ],
    )  # fmt: skip
    return checkpoint.rows


def _tensorboard(config, stage):
    return str(stage.path / "tensorboard") if config.tensorboard else None


class SharedPosterior:
    """A posterior pass that several callbacks share: within one step the same examples are encoded once."""

    def __init__(self):
        self.step, self.seen = None, {}

    def __call__(self, model, x):
        step, key = int(model.optimizer.iterations), x.tobytes()
        if step != self.step:
            self.step, self.seen = step, {}
        if key not in self.seen:
            self.seen[key] = [keras.ops.convert_to_numpy(part) for part in model.posterior(x)]
        return self.seen[key]


class Pace(keras.callbacks.Callback):
    """Logs `seconds_per_step`, the other callbacks' work at the epoch's end excluded: goes first in the list."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds_per_step"] = (time.perf_counter() - self.start) / self.steps


class OneLine(keras.callbacks.Callback):
    """One line an epoch, where the output is no terminal."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        shown = [f"{name} {value:.4g}" for name, value in logs.items() if name != "learning_rate" and value == value]
        print(f"epoch {epoch + 1}/{self.epochs}: {', '.join(shown)}", flush=True)


def _in_batches(function, array, size=1_000):
    return np.concatenate([keras.ops.convert_to_numpy(function(array[i : i + size])) for i in range(0, len(array), size)])


def _figures(config, rows, moments):
    """What results.json says of a stage: the last epoch's logs, the epoch in which the floor first bound, E[sigma^2] per latent."""
    at_floor = [row["epoch"] for row in rows if row["gamma"] <= config.gamma_floor * 1.000001]
    return {
        **{name: value for name, value in rows[-1].items() if value == value},
        "gamma_at_floor_since_epoch": at_floor[0] if at_floor else None,
        "posterior_variance_per_latent": [round(float(v), 4) for v in np.sort(statistics.mean_variance(moments[1]))],
    }


def _normalised(vae, normalizer, width, config):
    """Deviations of 10,000 latents before and after normalisation, from draws that its statistics did not use."""
    u = np.random.default_rng((config.seed, 2)).standard_normal((10_000, width), dtype="float32")
    before = _in_batches(lambda part: sampling.sample_latents(vae, part, "mean"), u)
    after = np.asarray(keras.ops.convert_to_numpy(normalizer(before)))
    summary = lambda z: {"mean": float(z.std(0).mean()), "smallest": float(z.std(0).min()), "largest": float(z.std(0).max())}  # noqa: E731
    return {"target": normalizer.target, "deviation_before": summary(before), "deviation_after": summary(after)}


def _fingerprint(images):
    return {"shape": list(images.shape), "crc32": zlib.crc32(np.ascontiguousarray(images))}


def _introduce(stage, preset, config, vae, what):
    count = lambda model: sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)  # noqa: E731
    print(f"stage {stage.number}, preset {preset}: {what}; {keras.backend.backend()} backend")
    print(f"{count(vae):,} trainable parameters, {count(vae.encoder):,} in the encoder and {count(vae.decoder):,} in the decoder")
    print(", ".join(f"{name} {value}" for name, value in dataclasses.asdict(config).items()), flush=True)


def _finish(stage, following):
    """Writes the SavedModel, always by a process on TensorFlow so that a seed means the same whatever trained; says what is where."""
    written = [f"wrote {stage.path}: model.keras, history.csv, images, checkpoints", f"wrote {stage.run}/results.json, report.md"]
    command = [sys.executable, "-m", "twostage.export", "--run", str(stage.run)]
    if keras.backend.backend() == "tensorflow":
        written.append(f"wrote {export(stage.run)}")
    elif find_spec("tensorflow"):
        subprocess.run(command, check=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, stdout=subprocess.DEVNULL)
        written.append(f"wrote {stage.run / 'saved_model'}")
    else:
        written.append(f"TensorFlow is not installed here; where it is, `python -m twostage.export --run {stage.run}` writes the SavedModel")
    stage.end()
    print("\n".join([*written, f"next: {following}"]))


def _shape(images):
    return "x".join(map(str, images.shape[1:]))


