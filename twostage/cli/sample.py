"""`python -m twostage.sample --run RUN --n 64 --seed 1 --out samples.png`: a grid of
samples from a run's SavedModel.
"""

from pathlib import Path

from twostage.errors import InputError
from twostage.reporting.png import check_place, save_png, tile


def draw(run, n=64, seed=0, out="samples.png", first_stage=False):
    """Writes a square grid of `n` samples to `out` (PNG)."""
    if n < 1:
        raise InputError(f"received --n {n}, expected at least 1")
    if max(n, abs(seed)) >= 2**31:
        raise InputError(
            f"received --n {n} and --seed {seed}, expected numbers below 2147483648:"
            " the SavedModel takes no larger ones"
        )
    check_place(out)
    from twostage.export import saved_model

    model = saved_model.load(Path(run) / "saved_model")
    images = (model.sample_first_stage if first_stage else model.sample)(n, seed)
    save_png(out, tile(images))
    print(f"wrote {n} samples with seed {seed} to {out}")


if __name__ == "__main__":
    from twostage.cli import main

    main.sample()
