"""The page's layout, in gradio. What it shows comes from `Explorer`."""

import functools
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from twostage.errors import InputError
from twostage.explore.explorer import MAX_SAMPLES, MAX_STEPS, Explorer, Shown, Start
from twostage.explore.latents import DECIMALS, PATHS, REACH, reach
from twostage.explore.uploads import ANY_SIZE
from twostage.reporting.png import save_png, tile

TITLE = "Two-stage VAE"
SEEDS, IMAGES = "two seeds", "two images"
CSS = """
.shown img { image-rendering: pixelated; width: 100%; }
.error { color: #b91c1c; font-weight: 600; overflow-wrap: anywhere; }
.dark .error { color: #fca5a5; }
"""


class Page:
    """The tabs of an `Explorer`, as gradio's `blocks`.

    Args:
        explorer: What is shown.
        folder: Where the PNG files go.
    """

    def __init__(self, explorer: Explorer, folder: Path):
        import gradio

        self.gr: Any = gradio
        self.explorer, self.folder = explorer, folder
        source = explorer.source
        self.all = [(label, name) for name, label in source.samplers.items()]
        self.known = [each for each in self.all if each[1] in source.with_latents]
        with gradio.Blocks(
            title=TITLE, analytics_enabled=False, fill_width=False
        ) as self.blocks:
            gradio.Markdown(f"# {TITLE}\n\n{source.description}")
            for title, fill in (
                ("Samples", self._samples),
                ("Latents", self._latents),
                ("Your image", self._image),
                ("Interpolation", self._interpolation),
            ):
                with gradio.Tab(title), gradio.Row():
                    fill()

    def _samples(self) -> None:
        gr = self.gr
        with gr.Column(scale=1):
            inputs = [
                gr.Dropdown(self.all, value=self.all[0][1], label="Sampler"),
                gr.Slider(1, MAX_SAMPLES, 64, step=1, label="Images"),
                gr.Number(0, precision=0, label="Seed"),
            ]
            button = gr.Button("Draw", variant="primary")
        outputs = self._picture("Samples")
        self._on(
            [button.click, inputs[0].input, inputs[2].submit, self.blocks.load],
            lambda *values: self._written(self.explorer.samples(*values)),
            inputs,
            outputs,
        )

    def _latents(self) -> None:
        gr = self.gr
        with gr.Column(scale=1):
            inputs = [
                gr.Dropdown(self.known, value=self.known[0][1], label="Sampler"),
                gr.Number(0, precision=0, label="Seed"),
            ]
            button = gr.Button("Start from this sample", variant="primary")
            sliders = self._sliders()
        outputs = self._picture("The sample, and the sample as edited")
        begin = [button.click, inputs[0].input, inputs[1].submit, self.blocks.load]
        self._editor(begin, self.explorer.start_of_sample, inputs, sliders, outputs)

    def _image(self) -> None:
        gr = self.gr
        with gr.Column(scale=1):
            inputs = [
                gr.File(label="Image file", height=120),
                gr.Checkbox(False, label=ANY_SIZE),
            ]
            sliders = self._sliders()
        outputs = self._picture("The image, its reconstruction, and as edited")

        def start(path: str | None, any_size: bool) -> Start:
            return self.explorer.start_of_image(path, any_size=any_size)

        begin = [each.change for each in inputs]
        self._editor(begin, start, inputs, sliders, outputs)

    def _interpolation(self) -> None:
        gr = self.gr
        with gr.Column(scale=1):
            kind = gr.Radio([SEEDS, IMAGES], value=SEEDS, label="Between")
            with gr.Group() as seeds:
                sampler = gr.Dropdown(
                    self.known, value=self.known[0][1], label="Sampler"
                )
                first = gr.Number(0, precision=0, label="First seed")
                second = gr.Number(1, precision=0, label="Second seed")
            with gr.Group(visible=False) as images:
                files = [
                    gr.File(label=f"{order} image file", height=120)
                    for order in ("First", "Second")
                ]
                any_size = gr.Checkbox(False, label=ANY_SIZE)
            steps = gr.Slider(2, MAX_STEPS, 9, step=1, label="Steps")
            path = gr.Radio(PATHS, value=PATHS[0], label="Path")
            button = gr.Button("Interpolate", variant="primary")
        outputs = self._picture("From one end to the other")
        kind.input(
            lambda chosen: [
                gr.update(visible=chosen == each) for each in (SEEDS, IMAGES)
            ],
            kind,
            [seeds, images],
            show_progress="hidden",
            api_visibility="private",
        )
        inputs = [kind, sampler, first, second, *files, any_size, steps, path]
        self._on([button.click, self.blocks.load], self._between, inputs, outputs)

    def _between(self, kind: str, sampler: str, *values: Any) -> tuple[str, str]:
        first, second, first_file, second_file, any_size, steps, path = values
        if kind == SEEDS:
            seeds = first, second
            found = self.explorer.between_seeds(sampler, seeds, steps, path)
        else:
            files = first_file, second_file
            found = self.explorer.between_images(files, steps, path, any_size=any_size)
        return self._written(found)

    def _sliders(self) -> list[Any]:
        """Of the most active latents, at 0."""
        with self.gr.Accordion("The most active latents of stage 1"):
            return [
                self.gr.Slider(
                    -REACH, REACH, 0, step=10**-DECIMALS, label=f"Latent {latent}"
                )
                for latent in self.explorer.sliders
            ]

    def _picture(self, label: str) -> list[Any]:
        """A picture, its download, and a line for errors."""
        gr = self.gr
        with gr.Column(scale=2):
            error = gr.HTML()
            picture = gr.Image(
                label=label,
                alt_text=label,
                interactive=False,
                buttons=["fullscreen"],
                elem_classes="shown",
            )
            download = gr.DownloadButton("Download as PNG")
        return [picture, download, error]

    def _editor(
        self,
        begin: list[Any],
        start: Callable[..., Start],
        inputs: list[Any],
        sliders: list[Any],
        outputs: list[Any],
    ) -> None:
        """Connects what is edited, the sliders and the picture.

        Args:
            begin: The events that begin with something else.
            start: Gives what is edited from the values of `inputs`.
            inputs: The components that choose it.
            sliders: The sliders.
            outputs: As `_picture` gives them.
        """
        state = self.gr.State()

        def begun(*values: Any) -> tuple[Any, ...]:
            found = start(*values)
            at = self.explorer.slider_values(found)
            far = reach(at)
            moved = [self.gr.update(value=x, minimum=-far, maximum=far) for x in at]
            return found, *moved, *self._written(self.explorer.edit(found, at))

        def edit(found: Start | None, *values: float) -> tuple[Any, ...]:
            if found is None:
                raise InputError("no image", "one to edit", "choose it first")
            return self._written(self.explorer.edit(found, np.array(values)))

        self._on(begin, begun, inputs, [state, *sliders, *outputs], kept=sliders)
        # the newest value of a slider that is being moved, not each on its way
        moves = [slider.input for slider in sliders]
        self._on(moves, edit, [state, *sliders], outputs, trigger_mode="always_last")

    def _on(
        self,
        triggers: list[Any],
        function: Callable,
        inputs: list[Any],
        outputs: list[Any],
        *,
        kept: list[Any] | None = None,
        **options: Any,
    ) -> None:
        """Calls `function` on events. An `InputError` empties the outputs, and is shown
        in the last of them.

        Args:
            triggers: The events.
            function: Values of `inputs` -> those of `outputs` but the last.
            inputs: Components.
            outputs: Components, the last of which shows errors.
            kept: Outputs that an error leaves as they are.
            options: Of `gradio.on`.
        """

        @functools.wraps(function)
        def answer(*values: Any) -> list[Any]:
            try:
                return [*function(*values), ""]
            except InputError as error:
                line = f'<p class="error" role="alert">{html.escape(str(error))}</p>'
                is_kept = [output in (kept or []) for output in outputs[:-1]]
                empty = [self.gr.skip() if each else None for each in is_kept]
                return [*empty, line]

        self.gr.on(
            triggers,
            answer,
            inputs,
            outputs,
            show_progress="minimal",
            api_visibility="private",
            **options,
        )

    def _written(self, found: Shown) -> tuple[str, str]:
        """The PNG file that is shown, and downloaded."""
        path = str(self.folder / f"{found.name}.png")
        save_png(path, tile(found.images, columns=found.columns))
        return path, path
