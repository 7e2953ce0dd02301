"""Export of a network as a verified bundle."""

import copy
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor, fx, nn

from caveat.models.bundles.bundle import PASSES, PREDICT, Bundle, pack
from caveat.models.bundles.manifest import NAME, Manifest, Provenance
from caveat.models.bundles.signature import ROWS, Input
from caveat.models.predictor import Predictor
from caveat.training.errors import ExportError
from caveat.training.export import checks, choose, laws, steady
from caveat.training.export.assigned import assignable_weights
from caveat.training.export.bits import find_stable_bits
from caveat.training.export.capture import answer, capture, copy_network, functional, in_training_mode
from caveat.training.export.cost import measure
from caveat.training.export.draw_inputs import DrawInputs
from caveat.training.export.examples import tried_example
from caveat.training.export.given import a_few, by_name, with_gaps
from caveat.training.export.graphs import Plain, translate
from caveat.training.export.lookups import entries_of_draws
from caveat.training.export.parts import refuse_untraceable, unwrapped
from caveat.training.export.passes import Passes
from caveat.training.export.probe import find_interleaved
from caveat.training.export.randomness import is_random, rate_of
from caveat.training.export.ranges import Traced, narrowed, ranges
from caveat.training.export.rewrite import Rewritten
from caveat.training.export.rows import Rows, place
from caveat.training.export.runs import Runs
from caveat.training.export.served import Served
from caveat.training.export.sites import Found, active, find_sites
from caveat.training.export.sizes import check_names, traceable
from caveat.training.export.stated_inputs import stated_inputs, with_sizes
from caveat.training.export.steps import Steps
from caveat.training.export.still import hold_learning
from caveat.training.export.verify import Verification
from caveat.training.export.weights import to_files
from caveat.training.progress import Progress
from caveat.training.tasks import tasks
from caveat.training.tasks.task import Learning, Stated
from caveat.training.vocabulary import ExampleRows, Outputs, Task

_ROWS_DRAWN = 3


@assignable_weights()
def export(
    module: nn.Module,
    example: ArrayLike | Tensor | Mapping[str, ArrayLike | Tensor],
    *,
    task: Task,
    outputs: Outputs,
    name: str,
    output: str | int | None = None,
    preprocess: nn.Module | None = None,
    inputs: Sequence[Input] | None = None,
    free: Mapping[str, Mapping[int, str]] | None = None,
    sites: Sequence[str] = ("*",),
    rates: Mapping[str, float] | None = None,
    insert: Mapping[str, float] | None = None,
    classes: Sequence[str] | None = None,
    target: str | None = None,
    targets: Sequence[str] | None = None,
    description: str = "",
    provenance: Provenance | None = None,
    noise_variance: float | Sequence[float] = 0.0,
    example_rows: ExampleRows = "made-up",
    progress: Progress | None = None,
) -> Bundle:
    """Export a network with dropout as a bundle, and verify it against the network.

    Parameters
    ----------
    module
        The network. Floating-point weights of any precision are served as float32.
    example
        A few rows that the network takes; for a network with several inputs, a mapping by the names of the
        parameters of ``forward``.
    task
        The task of the network.
    outputs
        Kind of the network's outputs. For a classification, ``logits`` or ``probabilities``, shape (B, C).
        For a regression, ``mean``, (B,) or (B, 1), or ``mean_log_variance``, (B, 2); for T targets, these
        are (B, T) and (B, T, 2). Mean and log-variance may also be two tensors.
    name
        Name of the model in a store.
    output
        Name or number of the output to serve, if the network has several.
    preprocess
        Module that runs on the inputs first, inside the exported graphs.
    inputs
        The input signature; by default one input for each array, in the example's shape.
    free
        Sizes that each request chooses, apart from the number of rows: for each input, names by axis, such
        as ``{"x": {1: "length"}}``.
    sites
        Patterns of the names of the sites that stay random (``encoder.*``), or ``last``.
    rates
        Dropout rates to change, by pattern of the site's name.
    insert
        Rates of dropouts to add after every operator (``relu``) or module of a name.
    classes
        Names of the classes in the order of the outputs; by default their numbers.
    target
        Name of a regression's target, with its unit.
    targets
        Names of several targets, in the order of the outputs; by default their numbers.
    description
        Description of the model, for people.
    provenance
        Where the model comes from.
    noise_variance
        Variance of a regression's target around its mean, in the target's units squared; for several
        targets, one number for each, or one for all.
    example_rows
        The example that the bundle holds, on which a service tries it and which its pages show: ``made-up``
        rows like those of ``example`` that are none of them, or ``keep`` for its first rows.
    progress
        Takes the steps of the export.

    Returns
    -------
    Bundle
        Version 1, in memory; `caveat.models.bundles.store.add` writes it.

    Raises
    ------
    ExportError
        If the network has no active dropout, is random in eval mode, can't be traced, or differs from its
        graphs. The message says what to change.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    >>> bundle = export(network, torch.rand(4, 3), task="classification", outputs="logits", name="tiny")
    >>> [(site.name, site.rate) for site in bundle.manifest.sites]
    [('2', 0.2)]
    """
    named = by_name(example, inputs)
    learning = tasks.named(task)
    _check_options(name, learning, outputs, named, free or {}, insert or {})
    step = Steps(progress)
    names = list(named) if isinstance(example, Mapping) else None
    served = Served(unwrapped(module), learning, outputs, names, output, preprocess)
    refuse_untraceable(served)
    served = _single_precision(served)
    axes = [{0: ROWS, **(free or {}).get(key, {})} for key in named]
    rows = traceable(with_gaps(a_few(named), inputs), axes)
    evaluated, sampled = copy_network(served).eval(), in_training_mode(served)

    step("check the answers")
    answers = answer(evaluated, rows)
    checks.answers_with_finite_numbers(answers)
    predicting = _without_randomness(capture(evaluated, rows, axes))
    shape = _output_shape(predicting)
    facts = learning.facts(outputs, shape, Stated(classes, target, targets, noise_variance))
    learning.check_answers(answers, outputs)
    checks.keeps_running_statistics(predicting)
    steady.answers_alike_in_every_run(evaluated, rows)
    checks.answers_each_row_alone(evaluated, predicting, rows, answers)
    step("check the draws")
    checks.answers_alike_in_both_modes(answers, copy_network(sampled), rows)
    hold_learning(sampled, copy_network(sampled), rows)
    steady.draws_with_torch_alone(sampled, rows)
    captured = capture(sampled, rows, axes)
    held = ranges([Traced(evaluated, predicting), Traced(sampled, captured)], rows, axes)
    own = find_sites(captured)
    trained = {site.node: rate_of(site.node) for site in own}
    active(own)
    checks.differs_by_its_draws_alone(captured, own, answers, rows, "targets" in facts)
    changed = _change(captured, sites, rates or {}, insert or {})
    found = _unlike_inputs(active(find_sites(captured, trained)), named)
    if not found:
        raise _no_dropout(captured)
    drawing = captured if changed else sampled
    graph = entries_of_draws(functional(Rewritten(captured, found), rows, axes), rows, axes)
    row_axes = Rows(graph)
    find_interleaved(graph, row_axes, rows)
    draws = DrawInputs(graph, row_axes, found, axes)
    laws.draws_as_stated(drawing, [tensor[:_ROWS_DRAWN] for tensor in rows], draws)
    laws.draws_as_drawn_here(draws.sites, draws.hints)

    step(f"write {PREDICT}")
    tensors = dict(zip(named, rows, strict=True))
    signature = inputs or stated_inputs(captured, tensors, axes)
    held = narrowed(held, signature, evaluated, rows, axes)
    predict = translate(Plain(predicting), tensors, axes)
    step(f"write {PASSES}")
    passes = translate(Passes(graph, row_axes, len(rows)), tensors | draws.examples(), [*axes, *draws.axes()])
    manifest = Manifest(
        name=name,
        version=1,
        task=task,
        description=description,
        inputs=with_sizes(signature, held),
        output=(ROWS, *shape),
        outputs=learning.model.kinds[outputs],
        **facts,
        sites=draws.sites,
        cost=measure(passes, draws.sites),
        provenance=provenance or Provenance(),
    )
    step("load both graphs")
    bundle = pack(manifest, to_files({PREDICT: predict, PASSES: passes}))
    del predict, passes
    runs = Runs(Predictor(bundle), rows)
    step("compare the bits of a row in several batches")
    manifest = bundle.manifest.model_copy(update={"least_rows": find_stable_bits(runs)})
    verification = Verification(runs, evaluated, drawing, draws, answers)
    step("compare with PyTorch, given the same draws")
    held = verification.smaller_sizes(rows, axes, held)
    manifest = manifest.model_copy(update={"inputs": with_sizes(signature, held)})
    verification.same_draws(rows, axes, held)
    verification.independence()
    step("compare with PyTorch's own dropout")
    verification.moments()
    kept = tried_example(
        runs.predictor, dict(zip(named, traceable(list(named.values()), axes), strict=True)), example_rows
    )
    step.end()
    return pack(manifest.model_copy(update={"example": kept.text}), {**bundle.files, **kept.files})


def _check_options(
    name: str,
    task: Learning,
    outputs: Outputs,
    named: Mapping[str, Tensor],
    free: Mapping[str, Mapping[int, str]],
    insert: Mapping[str, float],
) -> None:
    if not re.fullmatch(NAME, name):
        raise ExportError(
            f"a model can't be called {name!r}: a name has up to 64 lower-case letters, digits, _ and -, and "
            "starts with a letter or digit"
        )
    kinds = task.model.kinds
    if outputs not in kinds:
        raise ExportError(f"a {task.name} answers with {' or '.join(kinds)}, not {outputs}")
    check_names(free, named)
    for pattern, rate in insert.items():
        if not 0 < rate < 1:
            raise ExportError(f"--insert {pattern}:{rate}: a rate is above 0 and below 1")


def _single_precision(served: Served) -> Served:
    if any(
        part.dtype in (torch.float16, torch.bfloat16) for part in [*served.parameters(), *served.buffers()]
    ):
        return copy.deepcopy(served).float()
    return served


def _without_randomness(graph: fx.GraphModule) -> fx.GraphModule:
    stuck = [node for node in graph.graph.nodes if is_random(node)]
    if stuck:
        raise ExportError(
            f"the network draws at random in eval mode too, {place(stuck[0])}: its dropout is stuck on. "
            "Pass training=self.training to a functional dropout, or guard the draw with `if self.training`"
        )
    return graph


def _no_dropout(graph: fx.GraphModule) -> ExportError:
    whole = [site.name for site in find_sites(graph) if rate_of(site.node) == 1]
    because = f" ({', '.join(whole)} drops every unit, at rate 1, and draws nothing)" if whole else ""
    return ExportError(
        f"the network has no active dropout{because}, so all of its passes would be equal; add nn.Dropout "
        "with a rate above 0 and below 1 before training it, or try --insert relu:0.1"
    )


def _unlike_inputs(found: Sequence[Found], inputs: Container[str]) -> list[Found]:
    """Rename each site that has the name of an input, since both become inputs of one graph."""
    return [replace(site, name=f"{site.name}_site") if site.name in inputs else site for site in found]


def _change(
    graph: fx.GraphModule, sites: Sequence[str], rates: Mapping[str, float], insert: Mapping[str, float]
) -> bool:
    """Apply the user's choices of sites and rates; tell whether there were any."""
    if insert:
        choose.insert(graph, insert)
    if rates:
        choose.change_rates(find_sites(graph), rates)
    if tuple(sites) != ("*",):
        choose.keep_only(find_sites(graph), sites)
    graph.recompile()
    return bool(insert or rates or tuple(sites) != ("*",))


def _output_shape(graph: fx.GraphModule) -> tuple[int, ...]:
    (returned,) = next(node for node in graph.graph.nodes if node.op == "output").args
    value = returned if isinstance(returned, fx.Node) else returned[0]
    return tuple(int(size) for size in value.meta["val"].shape[1:])
