"""Shifts, rotations, scales and flips of images."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


class Affine:
    """Moves, turns and stretches each image of a batch by itself, from torch's global generator.

    Pixels in between are interpolated; beyond an edge, its pixels go on.

    Parameters
    ----------
    shift
        Farthest way, as a part of the height and of the width.
    rotation
        Largest angle in degrees.
    scale
        Largest part by which an image grows or shrinks.
    flip
        Probability with which left and right change places.
    """

    def __init__(
        self, shift: float = 0.0, rotation: float = 0.0, scale: float = 0.0, flip: float = 0.0
    ) -> None:
        self._shift, self._rotation, self._scale, self._flip = shift, rotation, scale, flip

    def __call__(self, images: Tensor) -> Tensor:
        """Change images, (B, H, W) or (B, C, H, W), floating; give others of the same shape."""
        whole = images.unsqueeze(1) if images.ndim == 3 else images
        grid = affine_grid(self._maps(whole), list(whole.shape), align_corners=False)
        moved = grid_sample(whole, grid, padding_mode="border", align_corners=False)
        return moved.reshape(images.shape)

    def _maps(self, images: Tensor) -> Tensor:
        """Draw a map from each new image's places to those of the old one, (B, 2, 3).

        Places run from -1 to 1 along each axis, so that a turn must know the image's proportions.
        """
        count, (height, width) = len(images), images.shape[-2:]
        angle, growth, across, down = (2 * torch.rand(4, count) - 1) * torch.tensor(
            [math.radians(self._rotation), self._scale, 2 * self._shift, 2 * self._shift]
        )[:, None]
        zoom = 1 / (1 + growth)
        mirror = 1 - 2 * (torch.rand(count) < self._flip).to(zoom.dtype)
        cos, sin = zoom * angle.cos(), zoom * angle.sin()
        first = torch.stack([mirror * cos, -mirror * sin * (height / width), across], dim=1)
        second = torch.stack([sin * (width / height), cos, down], dim=1)
        return torch.stack([first, second], dim=1).to(images)
