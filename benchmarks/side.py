"""A benchmark's side: a process of its own, so that frameworks can alternate."""

import json
import os
import subprocess
import sys
from pathlib import Path


class Side:
    """A process that sleeps until it is asked. Its first line, once it is ready, is
    `greeting`.

    Args:
        name: Begins with the framework's name.
        command: Script and flags.
        torch_python: An interpreter that has PyTorch.
    """

    def __init__(self, name, command, torch_python):
        framework = name.split()[0]
        backend = {} if framework == "torch" else {"KERAS_BACKEND": framework}
        path = os.pathsep.join(
            [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
        )
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **backend,
        }
        python = torch_python if framework == "torch" else sys.executable
        self.process = subprocess.Popen(
            [python, *command, "--side", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.greeting = self.answer()

    def ask(self, question):
        print(question, file=self.process.stdin, flush=True)
        return self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"{' '.join(self.process.args)} ended: run it alone to see why"
            )
        return json.loads(line)
