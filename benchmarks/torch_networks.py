"""The baseline: the same networks, losses and training step in PyTorch, written as its
users write them. An extra, never a dependency: pip install torch.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional


class Residual(nn.Module):
    """Two normalized convolutions beside a convolution."""

    def __init__(self, before, width):
        super().__init__()

        def convolution(channels):
            return nn.Conv2d(channels, width, 3, padding=1)

        def normalized(channels):
            return nn.BatchNorm2d(channels, eps=1e-5, momentum=1e-3)

        self.body = nn.Sequential(
            normalized(before),
            nn.ReLU(),
            convolution(before),
            normalized(width),
            nn.ReLU(),
            convolution(width),
        )
        self.shortcut = convolution(before)

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class FullyConnected(nn.Module):
    def __init__(self, before, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(), nn.Linear(before, width), nn.ReLU(), nn.Linear(width, width)
        )
        self.shortcut = nn.Linear(before, width)

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class ResNetEncoder(nn.Module):
    def __init__(self, channels, latents, scales, base=32, width=512):
        super().__init__()
        parts, now = [nn.Conv2d(channels, base, 3, padding=1)], base
        for scale in range(scales):
            parts.append(Residual(now, now))
            if scale < scales - 1:
                parts.append(nn.Conv2d(now, 2 * now, 3, stride=2, padding=1))
                now *= 2
        self.body = nn.Sequential(
            *parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), FullyConnected(now, width)
        )
        self.mean, self.log_sd = nn.Linear(width, latents), nn.Linear(width, latents)

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), self.log_sd(h)


class ResNetDecoder(nn.Module):
    def __init__(self, side, channels, latents, base=32):
        super().__init__()
        widths = [
            min(base * 2**i, 1024) for i in range(int(math.log2(side)) - 1, -1, -1)
        ]
        parts = [nn.Linear(latents, 4 * widths[0]), nn.Unflatten(1, (widths[0], 2, 2))]
        for before, width in itertools.pairwise(widths):
            parts += [
                nn.ConvTranspose2d(
                    before, width, 3, stride=2, padding=1, output_padding=1
                ),
                Residual(width, width),
            ]
        self.body = nn.Sequential(
            *parts, nn.Conv2d(widths[-1], channels, 3, padding=1), nn.Sigmoid()
        )

    def forward(self, z):
        return self.body(z)


class Tower(nn.Module):
    """Stage 2's three dense layers, and its input beside them."""

    def __init__(self, latents, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(latents, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )

    def forward(self, x):
        return torch.cat([x, self.body(x)], 1)


class DenseEncoder(nn.Module):
    def __init__(self, latents, width):
        super().__init__()
        self.body, self.mean, self.log_sd = (
            Tower(latents, width),
            nn.Linear(latents + width, latents),
            nn.Linear(latents + width, latents),
        )

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), self.log_sd(h)


class DenseDecoder(nn.Sequential):
    def __init__(self, latents, width):
        super().__init__(Tower(latents, width), nn.Linear(latents + width, latents))


def loss(encoder, decoder, x, gamma):
    """Nats per example: S / (2 gamma^2) + D log gamma + (D / 2) log 2 pi + KL; and the
    batch's mean squared error.
    """
    mean, log_sd = (head.float() for head in encoder(x))
    z = mean + torch.exp(log_sd) * torch.randn_like(mean)
    squared = functional.mse_loss(decoder(z).float(), x, reduction="sum") / len(x)
    dimensions = x[0].numel()
    kl = 0.5 * (mean**2 + torch.exp(2 * log_sd) - 2 * log_sd - 1).sum(1).mean()
    return (
        squared / (2 * gamma**2)
        + dimensions * (math.log(gamma) + 0.5 * math.log(2 * math.pi))
        + kl,
        squared / dimensions,
    )
