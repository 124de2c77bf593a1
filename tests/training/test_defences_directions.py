"""Steering and projection in training: edits of the right kind, gradients through them, checkpointing included."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.models.residual import Part, ResidualEdit, edited
from offtarget.organism.questions import MATERIAL_DOMAINS, unasked_questions
from offtarget.organism.shipped import resolve
from offtarget.records import Message
from offtarget.records.direction import FindSettings
from offtarget.training.defences.registry import Materials, defend
from offtarget.training.plan import Plan, TrainRow
from offtarget.training.trainer import FixedParts
from offtarget.workflows.tune import directions as tune_directions

PLAN = Plan((TrainRow((Message("user", "a"), Message("assistant", "b"))),))
PARTS = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 2, 2, -1]])


@pytest.fixture(scope="module")
def base() -> LocalModel:
    opened = open_model("organism/base", resolve=resolve)
    assert isinstance(opened, LocalModel)
    return opened


@pytest.fixture(scope="module")
def materials(base: LocalModel) -> Materials:
    prompts = unasked_questions(4, 0, MATERIAL_DOMAINS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune_directions, "ANSWERS", 5)
        patch.setattr(tune_directions, "FindSettings", partial(FindSettings, max_tokens=24))
        direction = tune_directions.persona_edits(base, prompts, 0)
        subspace = tune_directions.persona_edits(base, prompts, 0, rank=3)
    return Materials(base=base, direction=direction, subspace=subspace)


@pytest.mark.long
def test_named_defences_edit_the_stream_and_their_controls_do_it_elsewhere(materials: Materials) -> None:
    """Every name and control gives one edit of its own, with a note."""
    names = ("steer", "steer=2", "steer:control", "project", "project=direction", "project:control")
    plans = [defend(PLAN, [name], materials) for name in names]
    assert len({plan.edits[0].fingerprint for plan in plans}) == len(names)
    assert all(len(plan.edits) == 1 and plan.rows == PLAN.rows and plan.notes for plan in plans)
    assert defend(PLAN, ["project:control"], materials).edits[0].fingerprint == plans[-1].edits[0].fingerprint


@pytest.mark.long
def test_the_control_of_steering_has_equal_norm_and_that_of_projection_equal_rank(materials: Materials) -> None:
    """Controls differ from the defence in where they point alone."""
    zero = torch.zeros(*PARTS.shape, 160)
    moved = [defend(PLAN, [name], materials).edits[0] for name in ("steer", "steer:control")]
    lengths = [edit.apply(next(iter(edit.layers)), zero, PARTS).norm(dim=-1) for edit in moved]
    assert torch.allclose(*lengths, rtol=1e-4)
    assert lengths[0].gt(0).tolist() == (PARTS > 0).tolist()  # the last prompt token and the answer
    basis = torch.eye(160)
    for name in ("project", "project:control"):
        edit = defend(PLAN, [name], materials).edits[0]
        left = edit.apply(0, basis, Part.ANSWER)
        assert torch.linalg.matrix_rank(left, rtol=1e-3) == 160 - 6
        assert edit.layers == frozenset(range(4))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("name", ["steer", "project"])
def test_gradients_flow_through_the_edit_and_equal_those_with_checkpointing(
    name: str, base: LocalModel, materials: Materials
) -> None:
    """Also where the backward pass runs in a thread of autograd's own, as on a GPU."""
    edit = defend(PLAN, [name], materials).edits[0]
    plain, changed = _gradient(base, None, False), _gradient(base, edit, False)
    assert not torch.allclose(plain, changed, rtol=1e-2)
    assert torch.isfinite(changed).all()
    assert changed.any()
    assert torch.allclose(changed, _gradient(base, edit, True), rtol=1e-4, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", ["steer=0", "steer=away", "steer=-1", "project=all"])
def test_values_without_a_meaning_are_refused(name: str, materials: Materials) -> None:
    """The message says what can be given."""
    with pytest.raises(InputError, match=r"the value must be"):
        defend(PLAN, [name], materials)


@pytest.mark.parametrize("name", ["steer", "project", "project=direction"])
def test_without_a_direction_the_user_is_told_to_give_one(name: str, base: LocalModel) -> None:
    """As happens when somebody fills the materials by hand."""
    with pytest.raises(InputError, match="Give a direction file"):
        defend(PLAN, [name], Materials(base=base))


def test_no_prompts_are_an_error(base: LocalModel) -> None:
    """There is nothing to find a direction with."""
    with pytest.raises(InputError, match="no prompts"):
        tune_directions.persona_edits(base, (), 0)


def _gradient(base: LocalModel, edit: ResidualEdit | None, checkpointing: bool) -> torch.Tensor:
    model: Any = base.weights.model
    weight = model.model.layers[1].self_attn.v_proj.weight
    model.requires_grad_(False)
    weight.requires_grad_(True)
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    try:
        with edited(model, edit and FixedParts(edit, PARTS)), torch.enable_grad(), ThreadPoolExecutor(1) as other:
            embedded = model.get_input_embeddings()(torch.arange(10).view(2, 5))
            logits = model(inputs_embeds=embedded, use_cache=False).logits
            chosen = logits.log_softmax(-1)[..., 7].sum()
            (gradient,) = other.submit(torch.autograd.grad, chosen, weight).result()
    finally:
        model.gradient_checkpointing_disable()
        model.eval()
        weight.requires_grad_(False)
    return gradient.detach().clone()
