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
UNKNOWN = (
    "The SavedModel returns no latents of both stages; start with --keras for all."
)
DOWNLOAD = "Download as PNG"
SEEDS, IMAGES = "two seeds", "two images"
# The image stays in sight while one moves the sliders; on a narrow window it is above
# them, and all tabs fit in one row.
CSS = """
.gradio-container { overflow: clip !important; }
.sight { position: sticky; top: 0; align-self: flex-start; z-index: 60; }
.sight { background: var(--body-background-fill); }
.shown button, .shown .image-frame { width: 100% !important; }
.shown img { image-rendering: pixelated; width: 100%; max-height: 70vh; }
.shown img { object-fit: contain !important; }
.error { color: #b91c1c; font-weight: 600; overflow-wrap: anywhere; }
.dark .error { color: #fca5a5; }
@media (max-width: 640px) {
  .shown img { max-height: 40vh; }
  .tab-container button { padding: 0 6px !important; }
}
"""


class Page:
    """The tabs of an `Explorer`, as gradio's `blocks`.

    Args:
        explorer: What is shown.
        folder: Where the PNG files go.
    """

    def __init__(self, explorer: Explorer, folder: Path):
        import gradio  # pyright: ignore[reportMissingImports]

        self.gr: Any = gradio
        self.explorer, self.folder = explorer, folder
        source = explorer.source
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
        samplers = [(label, n) for n, label in self.explorer.source.samplers.items()]
        outputs = self._grid("Samples")
        with gr.Column(scale=1):
            inputs = [
                gr.Dropdown(samplers, value=samplers[0][1], label="Sampler"),
                gr.Slider(1, MAX_SAMPLES, 64, step=1, label="Images"),
                gr.Number(0, precision=0, label="Seed"),
            ]
            button = gr.Button("Draw", variant="primary")
        self._on(
            [button.click, inputs[0].input, inputs[2].submit, self.blocks.load],
            lambda *values: self._written(self.explorer.samples(*values)),
            inputs,
            outputs,
        )

    def _latents(self) -> None:
        gr = self.gr
        outputs = self._grid("The sample, and the sample as edited")
        with gr.Column(scale=1):
            inputs = [
                self._known_samplers(),
                gr.Number(0, precision=0, label="Seed"),
            ]
            button = gr.Button("Start from this sample", variant="primary")
            sliders = self._sliders()
        begin = [button.click, inputs[0].input, inputs[1].submit, self.blocks.load]
        self._editor(begin, self.explorer.start_of_sample, inputs, sliders, outputs)

    def _image(self) -> None:
        gr = self.gr
        outputs = self._grid("The image, its reconstruction, and as edited")
        with gr.Column(scale=1):
            inputs = [
                gr.File(label="Image file", height=120),
                gr.Checkbox(False, label=ANY_SIZE),
            ]
            sliders = self._sliders()

        def start(path: str | None, any_size: bool) -> Start:
            return self.explorer.start_of_image(path, any_size=any_size)

        begin = [each.change for each in inputs]
        self._editor(begin, start, inputs, sliders, outputs)

    def _interpolation(self) -> None:
        gr = self.gr
        outputs = self._grid("From one end to the other")
        with gr.Column(scale=1):
            kind = gr.Radio([SEEDS, IMAGES], value=SEEDS, label="Between")
            with gr.Column() as seeds:
                sampler = self._known_samplers()
                first = gr.Number(0, precision=0, label="First seed")
                second = gr.Number(1, precision=0, label="Second seed")
            with gr.Column(visible=False) as images:
                files = [
                    gr.File(label=f"{order} image file", height=120)
                    for order in ("First", "Second")
                ]
                any_size = gr.Checkbox(False, label=ANY_SIZE)
            steps = gr.Slider(2, MAX_STEPS, 9, step=1, label="Steps")
            path = gr.Radio(PATHS, value=PATHS[0], label="Path")
            button = gr.Button("Interpolate", variant="primary")
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

    def _between(self, kind: str, sampler: str, *values: Any) -> tuple[str, Any]:
        first, second, first_file, second_file, any_size, steps, path = values
        if kind == SEEDS:
            seeds = first, second
            found = self.explorer.between_seeds(sampler, seeds, steps, path)
        else:
            files = first_file, second_file
            found = self.explorer.between_images(files, steps, path, any_size=any_size)
        return self._written(found)

    def _known_samplers(self) -> Any:
        """A choice of those whose latents are known."""
        source = self.explorer.source
        known = [(source.samplers[name], name) for name in source.with_latents]
        is_all = len(known) == len(source.samplers)
        return self.gr.Dropdown(
            known, value=known[0][1], label="Sampler", info=None if is_all else UNKNOWN
        )

    def _sliders(self) -> list[Any]:
        """Of the most active latents, at 0."""
        with self.gr.Accordion("The most active latents of stage 1"):
            return [
                self.gr.Slider(
                    -REACH,
                    REACH,
                    0,
                    step=10**-DECIMALS,
                    label=f"Latent {latent}",
                    buttons=[],
                )
                for latent in self.explorer.sliders
            ]

    def _grid(self, label: str) -> list[Any]:
        """A grid of images, its download, and a line for errors."""
        gr = self.gr
        with gr.Column(scale=2, elem_classes="sight"):
            gr.Markdown(label)
            grid = gr.Image(
                label=label,
                show_label=False,
                alt_text=label,
                interactive=False,
                buttons=[],
                elem_classes="shown",
            )
            error = gr.HTML(visible=False)
            download = gr.DownloadButton(DOWNLOAD, size="sm", interactive=False)
        return [grid, download, error]

    def _editor(
        self,
        begin: list[Any],
        start: Callable[..., Start],
        inputs: list[Any],
        sliders: list[Any],
        outputs: list[Any],
    ) -> None:
        """Connects what is edited, the sliders and the grid of images.

        Args:
            begin: The events that begin with something else.
            start: Gives what is edited from the values of `inputs`.
            inputs: The components that choose it.
            sliders: The sliders.
            outputs: As `_grid` gives them.
        """
        state = self.gr.State()

        def begun(*values: Any) -> tuple[Any, ...]:
            found = start(*values)
            at = self.explorer.slider_values(found)
            far = reach(at)
            ends = {"minimum": -far, "maximum": far}
            # Python's floats: NumPy's would reach the browser as text
            moved = [self.gr.update(value=value, **ends) for value in at.tolist()]
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
                return [*function(*values), self.gr.update(visible=False)]
            except InputError as error:
                text = f'<p class="error" role="alert">{html.escape(str(error))}</p>'
                line = self.gr.update(value=text, visible=True)
                emptied = (self._emptied(each, kept or []) for each in outputs[:-1])
                return [*emptied, line]

        self.gr.on(
            triggers,
            answer,
            inputs,
            outputs,
            show_progress="minimal",
            api_visibility="private",
            **options,
        )

    def _emptied(self, output: Any, kept: list[Any]) -> Any:
        if output in kept:
            return self.gr.skip()
        is_download = isinstance(output, self.gr.DownloadButton)
        return self.gr.update(value=None, interactive=False) if is_download else None

    def _written(self, found: Shown) -> tuple[str, Any]:
        """The PNG file that is shown, and downloaded."""
        path = str(self.folder / f"{found.name}.png")
        save_png(path, tile(found.images, columns=found.columns))
        return path, self.gr.update(value=path, interactive=True)
