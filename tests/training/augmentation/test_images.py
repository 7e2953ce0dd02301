"""Images that are moved, turned and stretched; what must stay, stays."""

from functools import partial

import pytest
import torch
from torch import Tensor

from caveat.training.augmentation.images import Affine
from caveat.training.fit import seeded

HEIGHT, WIDTH = 40, 90


def discs(count: int, across: float = 0.0, down: float = 0.0, radius: float = 8.0) -> Tensor:
    """Draw a disc with a soft edge, a way from the centre in pixels, in each of some images."""
    y = torch.arange(HEIGHT)[:, None] + 0.5 - HEIGHT / 2 - down
    x = torch.arange(WIDTH)[None] + 0.5 - WIDTH / 2 - across
    return (radius - (x**2 + y**2).sqrt()).clamp(-1, 1).add(1).div(2).repeat(count, 1, 1)


def centre(images: Tensor) -> tuple[Tensor, Tensor]:
    """Find the centre of each image's mass, in pixels from the middle: across and down."""
    mass = images.sum((1, 2))
    across = (images.sum(1) * (torch.arange(WIDTH) + 0.5 - WIDTH / 2)).sum(1) / mass
    down = (images.sum(2) * (torch.arange(HEIGHT) + 0.5 - HEIGHT / 2)).sum(1) / mass
    return across, down


def changed(images: Tensor, seed: int = 0, **strengths: float) -> Tensor:
    with seeded(seed):
        return Affine(**strengths)(images)


def test_without_strengths_nothing_changes() -> None:
    images = torch.rand(3, HEIGHT, WIDTH)
    torch.testing.assert_close(changed(images), images)


def test_a_flip_puts_right_to_left() -> None:
    images = torch.rand(3, HEIGHT, WIDTH)
    torch.testing.assert_close(changed(images, flip=1.0), images.flip(-1))
    flips = changed(discs(400, across=20), flip=0.3)
    assert 80 < (centre(flips)[0] < 0).sum() < 160


def test_a_turn_keeps_distances_whatever_the_proportions() -> None:
    round_ones = changed(discs(50), rotation=180.0)
    torch.testing.assert_close(round_ones, discs(50), atol=0.2, rtol=0)
    across, down = centre(changed(discs(50, across=10, radius=5.0), rotation=180.0))
    torch.testing.assert_close((across**2 + down**2).sqrt(), torch.full((50,), 10.0), atol=0.1, rtol=0)
    assert down.min() < -8
    assert down.max() > 8
    small = centre(changed(discs(200, across=10, radius=5.0), rotation=15.0))
    assert small[1].abs().max() <= 10 * 0.26 + 0.1
    assert small[0].min() > 9.5


def test_a_shift_is_as_far_as_stated_and_not_the_same_for_all() -> None:
    across, down = centre(changed(discs(300, radius=5.0), shift=0.1))
    assert 0.08 * WIDTH < across.max() <= 0.1 * WIDTH + 0.1
    assert 0.08 * HEIGHT < down.max() <= 0.1 * HEIGHT + 0.1
    assert across.min() < -0.08 * WIDTH
    assert down.min() < -0.08 * HEIGHT


def test_a_scale_grows_and_shrinks() -> None:
    part = changed(discs(300), scale=0.2).sum((1, 2)) / discs(1).sum()
    assert 0.62 < part.min() < 0.7
    assert 1.35 < part.max() < 1.47


def test_the_colours_of_an_image_move_together() -> None:
    grey = torch.rand(5, HEIGHT, WIDTH)
    colours = torch.stack([grey, 2 * grey, 3 * grey], dim=1)
    change = partial(changed, shift=0.2, rotation=30.0, scale=0.2, flip=0.5)
    alone, together = change(grey), change(colours)
    torch.testing.assert_close(together, torch.stack([alone, 2 * alone, 3 * alone], dim=1))


def test_beyond_an_edge_its_pixels_go_on() -> None:
    images = torch.full((20, HEIGHT, WIDTH), 7.0)
    torch.testing.assert_close(changed(images, shift=0.5, rotation=180.0, scale=0.5), images)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_kind_of_numbers_stays(kind: torch.dtype) -> None:
    assert changed(torch.rand(2, HEIGHT, WIDTH, dtype=kind), shift=0.1).dtype == kind


def test_the_seed_decides_everything() -> None:
    images = torch.rand(3, HEIGHT, WIDTH)
    first, again, other = (changed(images, seed, shift=0.1, rotation=9.0) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
