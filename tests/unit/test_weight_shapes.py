import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model_store.spec import MLP, Conv, Flow, ImageShape, ModelRef, ModelSpec, Residual
from model_store.store import SHIPPED, Store
from model_store.vae import VAE
from model_store.weight_shapes import WeightShape, weight_shapes


def of_the_network(spec: ModelSpec) -> dict[str, WeightShape]:
    with torch.device("meta"):
        state = VAE(spec).state_dict()
    return {
        name: WeightShape(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))  # type: ignore[arg-type]
        for name, tensor in state.items()
    }


@pytest.mark.parametrize("name", Store(SHIPPED).names())
def test_the_shapes_of_a_shipped_model_are_those_of_its_network(name: str):
    spec = Store(SHIPPED).manifest(ModelRef.parse(name)).spec
    assert weight_shapes(spec) == of_the_network(spec)


sizes = st.integers(1, 9)
widths = st.lists(sizes, min_size=1, max_size=3).map(tuple)
pyramid = {
    "channels": widths,
    "hidden": sizes,
    "kernel": st.sampled_from([3, 4]),
    "batch_norm": st.booleans(),
}
networks = st.one_of(
    st.builds(MLP, hidden=widths),
    st.builds(Conv, **pyramid),
    st.builds(
        Residual, encoder_blocks=st.integers(0, 2), decoder_blocks=st.integers(0, 2), **pyramid
    ),
)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    side = st.integers(8, 40)
    try:
        return ModelSpec(
            network=draw(networks),
            latent=draw(st.integers(2, 7)),
            image=ImageShape(
                channels=draw(st.sampled_from((1, 3))), height=draw(side), width=draw(side)
            ),
            likelihood=draw(st.sampled_from(("bernoulli", "discretised_logistic"))),
            prior=draw(st.none() | st.builds(Flow, couplings=st.integers(1, 3), hidden=sizes)),
        )
    except ValidationError:  # convolutions that leave nothing of the image
        return ModelSpec(network=MLP(hidden=draw(widths)), latent=2)


@settings(max_examples=150, deadline=None)
@given(spec=specs())
def test_the_shapes_of_any_spec_are_those_of_its_network(spec: ModelSpec):
    assert weight_shapes(spec) == of_the_network(spec)
